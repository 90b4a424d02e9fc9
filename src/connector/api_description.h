/*
 * api_description.h - OpenAPI 2.0, 3.0, 3.1 and Postman 2.x descriptions as operations of
 * a connector (engine.md 4.4).
 */
#ifndef CONNECTOR_API_DESCRIPTION_H
#define CONNECTOR_API_DESCRIPTION_H

struct arena;
struct status;
struct value;

struct api_description {
    const struct value *info; /* {type: "openapi", title?, version?, baseUri?} */
    /*
     * {key: {key, name, description?, tags?, isReadOnly, inputSchema, outputSchema?,
     *        methods: {run: {type: "rest-api-mapping", mapping}}}}
     * inputSchema has the properties pathParameters, query, headers, data as far as the
     * operation has them; the mapping passes each on from $.input.
     */
    const struct value *operations;
    const struct value *warnings; /* array of texts */
};

/*
 * -1 bad_request when the document is of no known kind or broken beyond use. References
 * are resolved inside the document only; recursive schemas are cut where they repeat.
 */
int api_description_read(struct arena *a, const struct value *doc,
                         struct api_description *ret, struct status *st);

#endif
