/*
 * jsonata_process.c - the second pass: location paths as lists of steps.
 *
 * `a.b[c]^(d){e:f}` leaves the first pass as nested binary operators and this
 * one as a path of steps that carry predicates, a sort step and a grouping. A
 * parent operator (%) is resolved here: the step that yields the wanted ancestor
 * is told to keep it in a tuple variable, which the % then reads.
 */
#include "jsonata_priv.h"

#include <string.h>

#include "base/arena.h"

static const char *const type_names[] = {
    [N_END] = "(end)",           [N_NAME] = "name",
    [N_STRING] = "string",       [N_NUMBER] = "number",
    [N_VALUE] = "value",         [N_VARIABLE] = "variable",
    [N_REGEX] = "regex",         [N_OPERATOR] = "operator",
    [N_BINARY] = "binary",       [N_UNARY] = "unary",
    [N_WILDCARD] = "wildcard",   [N_DESCENDANT] = "descendant",
    [N_PARENT] = "parent",       [N_FUNCTION] = "function",
    [N_PARTIAL] = "partial",     [N_LAMBDA] = "lambda",
    [N_CONDITION] = "condition", [N_BLOCK] = "block",
    [N_TRANSFORM] = "transform", [N_PATH] = "path",
    [N_SORT] = "sort",           [N_BIND] = "bind",
    [N_APPLY] = "apply",
};

void *jsonata_orphan_parent(struct parse *ps, const struct node *n) {
    const char *name = type_names[n->type];
    struct value token = value_string_ref(name, strlen(name));

    return jsonata_parse_failed(ps, "S0217", n->position, &token);
}

/* ---- ancestors ---- */

static void add_slot(struct parse *ps, struct slots **list, struct slot *slot) {
    if (!*list)
        *list = arena_zalloc(ps->arena, sizeof(**list));
    if ((*list)->len == (*list)->cap) {
        size_t cap = (*list)->cap ? (*list)->cap * 2 : 4;

        (*list)->items =
            arena_grow(ps->arena, (*list)->items, (*list)->cap * sizeof(*(*list)->items),
                       cap * sizeof(*(*list)->items));
        (*list)->cap = cap;
    }
    (*list)->items[(*list)->len++] = slot;
}

/* Looks in n for the step that the slot wants. */
static int seek_parent(struct parse *ps, struct node *n, struct slot *slot) {
    switch (n->type) {
    case N_NAME:
    case N_WILDCARD:
        slot->level--;
        if (slot->level == 0) {
            if (n->ancestor)
                slot->label = n->ancestor->label;
            n->ancestor = slot;
            n->tuple = true;
        }
        return 0;
    case N_PARENT:
        slot->level++;
        return 0;
    case N_BLOCK:
        if (n->list_len == 0)
            return 0;
        n->tuple = true;
        return seek_parent(ps, n->list[n->list_len - 1], slot);
    case N_PATH: {
        size_t i = n->list_len;

        n->tuple = true;
        if (seek_parent(ps, n->list[--i], slot) < 0)
            return -1;
        while (slot->level > 0 && i > 0)
            if (seek_parent(ps, n->list[--i], slot) < 0)
                return -1;
        return 0;
    }
    default:
        jsonata_orphan_parent(ps, n);
        return -1;
    }
}

/* What part seeks, whole seeks. The lists may be shared, as in the library. */
static void push_ancestry(struct parse *ps, struct node *whole, struct node *part) {
    struct slots *slots = part->seeking;

    if (!slots && part->type != N_PARENT)
        return;
    if (part->type == N_PARENT)
        add_slot(ps, &slots, part->slot);
    if (!whole->seeking) {
        whole->seeking = slots;
        return;
    }
    for (size_t i = 0, len = slots->len; i < len; i++)
        add_slot(ps, &whole->seeking, slots->items[i]);
}

/* Looks for what the last step seeks in the steps before it. */
static int resolve_ancestry(struct parse *ps, struct node *path) {
    struct node *last = path->list[path->list_len - 1];
    struct slots *slots = last->seeking;

    if (last->type == N_PARENT)
        add_slot(ps, &slots, last->slot);
    for (size_t i = 0; slots && i < slots->len; i++) {
        struct slot *slot = slots->items[i];
        ptrdiff_t index = (ptrdiff_t)path->list_len - 2;

        while (slot->level > 0) {
            struct node *step;

            if (index < 0) {
                add_slot(ps, &path->seeking, slot);
                break;
            }
            step = path->list[index--];
            /* Steps that bind a variable keep the context of the one before. */
            while (index >= 0 && step->focus.s && path->list[index]->focus.s)
                step = path->list[index--];
            if (seek_parent(ps, step, slot) < 0)
                return -1;
        }
    }
    return 0;
}

/* ---- paths ---- */

static struct node *last_step(struct node *n) {
    return n->type == N_PATH ? n->list[n->list_len - 1] : n;
}

static struct node *path_of(struct parse *ps, struct node *step) {
    struct node *path = jsonata_new_node(ps, N_PATH, step->position);

    jsonata_append_node(ps, path, step);
    return path;
}

static void add_stage(struct parse *ps, struct stages **stages, struct stage stage) {
    if (!*stages)
        *stages = arena_zalloc(ps->arena, sizeof(**stages));
    (*stages)->items =
        arena_grow(ps->arena, (*stages)->items, (*stages)->len * sizeof(stage),
                   ((*stages)->len + 1) * sizeof(stage));
    (*stages)->items[(*stages)->len++] = stage;
}

/* Literals are names when they are steps. */
static int check_steps(struct parse *ps, struct node *path) {
    for (size_t i = 0; i < path->list_len; i++) {
        struct node *step = path->list[i];

        if (step->type == N_NUMBER || step->type == N_VALUE) {
            jsonata_parse_failed(ps, "S0213", step->position, NULL);
            ps->failure.value = step->value;
            return -1;
        }
        path->keep_singleton |= step->keep_array;
    }
    for (size_t i = 0; i < path->list_len; i++)
        if (path->list[i]->type == N_STRING)
            path->list[i]->type = N_NAME;
    return 0;
}

static bool is_array_constructor(const struct node *n) {
    return n->type == N_UNARY && n->op == OP_LBRACKET;
}

static struct node *process_dot(struct parse *ps, struct node *n) {
    struct node *left = jsonata_process(ps, n->lhs), *path, *rest;

    if (!left)
        return NULL;
    path = left->type == N_PATH ? left : path_of(ps, left);
    if (left->type == N_PARENT) {
        path->seeking = NULL;
        add_slot(ps, &path->seeking, left->slot);
    }
    rest = jsonata_process(ps, n->rhs);
    if (!rest)
        return NULL;
    if (rest->type == N_PATH) {
        for (size_t i = 0; i < rest->list_len; i++)
            jsonata_append_node(ps, path, rest->list[i]);
    } else {
        if (rest->predicate) {
            rest->stages = rest->predicate;
            rest->predicate = NULL;
        }
        jsonata_append_node(ps, path, rest);
    }
    if (check_steps(ps, path) < 0)
        return NULL;
    if (is_array_constructor(path->list[0]))
        path->list[0]->cons_array = true;
    if (is_array_constructor(last_step(path)))
        last_step(path)->cons_array = true;
    return resolve_ancestry(ps, path) < 0 ? NULL : path;
}

static struct node *process_predicate(struct parse *ps, struct node *n) {
    struct node *result = jsonata_process(ps, n->lhs), *step, *predicate;

    if (!result)
        return NULL;
    step = last_step(result);
    if (step->has_group)
        return jsonata_parse_failed(ps, "S0209", n->position, NULL);
    predicate = jsonata_process(ps, n->rhs);
    if (!predicate)
        return NULL;
    if (predicate->seeking) {
        for (size_t i = 0; i < predicate->seeking->len; i++) {
            struct slot *slot = predicate->seeking->items[i];

            if (slot->level != 1)
                slot->level--;
            else if (seek_parent(ps, step, slot) < 0)
                return NULL;
        }
        push_ancestry(ps, step, predicate);
    }
    add_stage(ps, result->type == N_PATH ? &step->stages : &step->predicate,
              (struct stage){.expr = predicate});
    return result;
}

static int process_pairs(struct parse *ps, struct group *g, struct node *whole) {
    for (size_t i = 0; i < g->len; i++) {
        struct pair *pair = &g->pairs[i];

        pair->key = jsonata_process(ps, pair->key);
        if (!pair->key)
            return -1;
        if (whole)
            push_ancestry(ps, whole, pair->key);
        pair->value = jsonata_process(ps, pair->value);
        if (!pair->value)
            return -1;
        if (whole)
            push_ancestry(ps, whole, pair->value);
    }
    return 0;
}

static struct node *process_grouping(struct parse *ps, struct node *n) {
    struct node *result = jsonata_process(ps, n->lhs);

    if (!result)
        return NULL;
    if (result->has_group)
        return jsonata_parse_failed(ps, "S0210", n->position, NULL);
    if (process_pairs(ps, n->group, NULL) < 0)
        return NULL;
    if (result->type == N_UNARY && result->group) {
        /* An object constructor has pairs of its own: group around it. */
        struct node *block = jsonata_new_node(ps, N_BLOCK, result->position);

        jsonata_append_node(ps, block, result);
        block->seeking = result->seeking;
        result = block;
    }
    result->group = n->group;
    result->has_group = true;
    return result;
}

static struct node *process_order(struct parse *ps, struct node *n) {
    struct node *result = jsonata_process(ps, n->lhs), *sort;

    if (!result)
        return NULL;
    if (result->type != N_PATH)
        result = path_of(ps, result);
    sort = jsonata_new_node(ps, N_SORT, n->position);
    for (size_t i = 0; i < n->list_len; i++) {
        struct node *term = n->list[i];

        term->lhs = jsonata_process(ps, term->lhs);
        if (!term->lhs)
            return NULL;
        push_ancestry(ps, sort, term->lhs);
        jsonata_append_node(ps, sort, term);
    }
    jsonata_append_node(ps, result, sort);
    return resolve_ancestry(ps, result) < 0 ? NULL : result;
}

static struct node *process_focus(struct parse *ps, struct node *n) {
    struct node *result = jsonata_process(ps, n->lhs), *step;

    if (!result)
        return NULL;
    step = last_step(result);
    if (step->stages || step->predicate)
        return jsonata_parse_failed(ps, "S0215", n->position, NULL);
    if (step->type == N_SORT)
        return jsonata_parse_failed(ps, "S0216", n->position, NULL);
    if (n->keep_array)
        step->keep_array = true;
    step->focus = n->rhs->name;
    step->tuple = true;
    return result;
}

static struct node *process_index(struct parse *ps, struct node *n) {
    struct node *result = jsonata_process(ps, n->lhs), *step;

    if (!result)
        return NULL;
    step = last_step(result);
    if (result->type != N_PATH) {
        result = path_of(ps, result);
        if (step->predicate) {
            step->stages = step->predicate;
            step->predicate = NULL;
        }
    }
    if (step->stages)
        add_stage(ps, &step->stages,
                  (struct stage){.is_index = true, .variable = n->rhs->name});
    else
        step->index = n->rhs->name;
    step->tuple = true;
    return result;
}

static struct node *process_both_sides(struct parse *ps, struct node *n,
                                       enum node_type type) {
    struct node *result = jsonata_new_node(ps, type, n->position);

    result->op = n->op;
    result->value = n->value;
    result->lhs = jsonata_process(ps, n->lhs);
    if (!result->lhs)
        return NULL;
    result->rhs = jsonata_process(ps, n->rhs);
    if (!result->rhs)
        return NULL;
    if (type == N_BINARY)
        push_ancestry(ps, result, result->lhs);
    if (type != N_APPLY)
        push_ancestry(ps, result, result->rhs);
    return result;
}

static struct node *process_binary(struct parse *ps, struct node *n) {
    switch (n->op) {
    case OP_DOT:
        return process_dot(ps, n);
    case OP_LBRACKET:
        return process_predicate(ps, n);
    case OP_LBRACE:
        return process_grouping(ps, n);
    case OP_CARET:
        return process_order(ps, n);
    case OP_ASSIGN:
        return process_both_sides(ps, n, N_BIND);
    case OP_AT:
        return process_focus(ps, n);
    case OP_HASH:
        return process_index(ps, n);
    case OP_CHAIN:
        return process_both_sides(ps, n, N_APPLY);
    default:
        return process_both_sides(ps, n, N_BINARY);
    }
}

/* ---- the others ---- */

/* Processes every node of the list into result's. */
static int process_list(struct parse *ps, struct node *n, struct node *result) {
    for (size_t i = 0; i < n->list_len; i++) {
        struct node *item = jsonata_process(ps, n->list[i]);

        if (!item)
            return -1;
        push_ancestry(ps, result, item);
        jsonata_append_node(ps, result, item);
    }
    return 0;
}

static struct node *process_unary(struct parse *ps, struct node *n) {
    struct node *result = jsonata_new_node(ps, N_UNARY, n->position);

    result->op = n->op;
    result->value = n->value;
    if (n->op == OP_LBRACKET)
        return process_list(ps, n, result) < 0 ? NULL : result;
    if (n->op == OP_LBRACE) {
        result->group = n->group;
        return process_pairs(ps, n->group, result) < 0 ? NULL : result;
    }
    result->lhs = jsonata_process(ps, n->lhs);
    if (!result->lhs)
        return NULL;
    if (result->lhs->type == N_NUMBER) {
        result = result->lhs;
        result->value.number = -result->value.number;
        return result;
    }
    push_ancestry(ps, result, result->lhs);
    return result;
}

static struct node *process_call(struct parse *ps, struct node *n) {
    struct node *result = jsonata_new_node(ps, n->type, n->position);

    result->value = n->value;
    if (process_list(ps, n, result) < 0)
        return NULL;
    result->lhs = jsonata_process(ps, n->lhs);
    return result->lhs ? result : NULL;
}

/*
 * A call in tail position becomes a thunk, which the caller's loop runs: so tail
 * recursion needs no stack.
 */
static struct node *optimize_tail(struct parse *ps, struct node *n) {
    struct node *thunk;

    if (n->type == N_FUNCTION && !n->predicate) {
        thunk = jsonata_new_node(ps, N_LAMBDA, n->position);
        thunk->thunk = true;
        thunk->rhs = n;
        return thunk;
    }
    if (n->type == N_CONDITION) {
        n->rhs = optimize_tail(ps, n->rhs);
        if (n->third)
            n->third = optimize_tail(ps, n->third);
    } else if (n->type == N_BLOCK && n->list_len) {
        struct node **last = &n->list[n->list_len - 1];

        *last = optimize_tail(ps, *last);
    }
    return n;
}

static struct node *process_lambda(struct parse *ps, struct node *n) {
    struct node *result = jsonata_new_node(ps, N_LAMBDA, n->position);
    struct node *body = jsonata_process(ps, n->rhs);

    if (!body)
        return NULL;
    result->list = n->list;
    result->list_len = n->list_len;
    result->signature = n->signature;
    result->rhs = optimize_tail(ps, body);
    return result;
}

static struct node *process_condition(struct parse *ps, struct node *n) {
    struct node *result = jsonata_new_node(ps, N_CONDITION, n->position);

    result->lhs = jsonata_process(ps, n->lhs);
    if (!result->lhs)
        return NULL;
    push_ancestry(ps, result, result->lhs);
    result->rhs = jsonata_process(ps, n->rhs);
    if (!result->rhs)
        return NULL;
    push_ancestry(ps, result, result->rhs);
    if (n->third) {
        result->third = jsonata_process(ps, n->third);
        if (!result->third)
            return NULL;
        push_ancestry(ps, result, result->third);
    }
    return result;
}

static struct node *process_transform(struct parse *ps, struct node *n) {
    n->lhs = jsonata_process(ps, n->lhs);
    n->rhs = n->lhs ? jsonata_process(ps, n->rhs) : NULL;
    if (!n->rhs)
        return NULL;
    if (n->third) {
        n->third = jsonata_process(ps, n->third);
        if (!n->third)
            return NULL;
    }
    return n;
}

static struct node *process_block(struct parse *ps, struct node *n) {
    struct node *result = jsonata_new_node(ps, N_BLOCK, n->position);

    if (process_list(ps, n, result) < 0)
        return NULL;
    for (size_t i = 0; i < result->list_len; i++) {
        struct node *part = result->list[i];

        if (part->cons_array || (part->type == N_PATH && part->list[0]->cons_array))
            result->cons_array = true;
    }
    return result;
}

static struct node *process_name(struct parse *ps, struct node *n) {
    struct node *path = path_of(ps, n);

    path->keep_singleton = n->keep_array;
    return path;
}

static struct node *process_parent(struct parse *ps, struct node *n) {
    struct node *result = jsonata_new_node(ps, N_PARENT, n->position);
    const char *label = arena_printf(ps->arena, "!%u", ps->labels++);

    result->slot = arena_zalloc(ps->arena, sizeof(*result->slot));
    result->slot->label = jsonata_name(label, strlen(label));
    result->slot->level = 1;
    return result;
}

static struct node *process_node(struct parse *ps, struct node *n) {
    switch ((enum node_type)n->type) {
    case N_BINARY:
        return process_binary(ps, n);
    case N_UNARY:
        return process_unary(ps, n);
    case N_FUNCTION:
    case N_PARTIAL:
        return process_call(ps, n);
    case N_LAMBDA:
        return process_lambda(ps, n);
    case N_CONDITION:
        return process_condition(ps, n);
    case N_TRANSFORM:
        return process_transform(ps, n);
    case N_BLOCK:
        return process_block(ps, n);
    case N_NAME:
        return process_name(ps, n);
    case N_PARENT:
        return process_parent(ps, n);
    case N_OPERATOR:
        if (n->op == OP_QUESTION)
            return n;
        n->type = N_NAME;
        return process_name(ps, n);
    case N_END:
        return jsonata_parse_failed(ps, "S0207", n->position, &n->value);
    default:
        return n;
    }
}

struct node *jsonata_process(struct parse *ps, struct node *n) {
    bool keep_array = n->keep_array;
    struct node *result;

    if (jsonata_parse_enter(ps, n->position) < 0)
        return NULL;
    result = process_node(ps, n);
    ps->depth--;
    if (result && keep_array)
        result->keep_array = true;
    return result;
}
