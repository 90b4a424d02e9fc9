/*
 * jsonata_parse.c - expressions by operator precedence (Pratt).
 *
 * The tree of this pass follows the text; jsonata_process.c then folds paths,
 * predicates and groupings into steps. Both passes keep the library's habits,
 * odd ones included, because what an expression means follows from them.
 */
#include "jsonata_priv.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "jsonata_lex.h"

#define MAX_NESTING 2000

struct parser {
    struct parse *ps;
    struct lexer lexer;
    struct token now;
};

static const uint8_t binding_powers[] = {
    [OP_DOT] = 75,    [OP_LBRACKET] = 80, [OP_LBRACE] = 70,   [OP_LPAREN] = 80,
    [OP_AT] = 80,     [OP_HASH] = 80,     [OP_QUESTION] = 20, [OP_PLUS] = 50,
    [OP_MINUS] = 50,  [OP_STAR] = 60,     [OP_SLASH] = 60,    [OP_PERCENT] = 60,
    [OP_EQ] = 40,     [OP_LT] = 40,       [OP_GT] = 40,       [OP_CARET] = 40,
    [OP_ASSIGN] = 10, [OP_NE] = 40,       [OP_LE] = 40,       [OP_GE] = 40,
    [OP_CHAIN] = 40,  [OP_AND] = 30,      [OP_OR] = 25,       [OP_IN] = 40,
    [OP_CONCAT] = 50, [OP_TILDE] = 0,
};

static struct node *expression(struct parser *p, unsigned power);

int jsonata_parse_enter(struct parse *ps, uint32_t position) {
    char here;

    if (++ps->depth <= MAX_NESTING && &here >= ps->stack_floor)
        return 0;
    jsonata_parse_failed(ps, "U1001", position, NULL);
    ps->failure.text = "The expression is nested too deeply";
    return -1;
}

/* ---- nodes ---- */

void *jsonata_parse_failed(struct parse *ps, const char *code, uint32_t position,
                           const struct value *token) {
    ps->failure = (struct failure){.code = code, .position = position};
    if (token)
        ps->failure.token = *token;
    return NULL;
}

struct node *jsonata_new_node(struct parse *ps, enum node_type type, uint32_t position) {
    struct node *n = arena_zalloc(ps->arena, sizeof(*n));

    n->type = (uint8_t)type;
    n->position = position;
    return n;
}

struct name jsonata_name(const char *s, size_t len) {
    return (struct name){s, (uint32_t)len, value_hash_key(s, len)};
}

static struct node *node_of_token(struct parser *p, const struct token *t) {
    struct node *n = jsonata_new_node(p->ps, t->type, t->position);

    n->op = (uint8_t)t->op;
    n->value = t->value;
    n->regex = t->regex;
    if (t->type == N_NAME || t->type == N_VARIABLE || t->type == N_STRING ||
        t->type == N_OPERATOR)
        n->name = jsonata_name(t->value.str, t->value.len);
    if (t->type == N_VARIABLE)
        n->builtin = jsonata_builtin(t->value.str, t->value.len);
    return n;
}

void jsonata_append_node(struct parse *ps, struct node *n, struct node *item) {
    size_t len = n->list_len;

    if ((len & (len - 1)) == 0) /* 0, 1, 2, 4, 8, ...: full */
        n->list = arena_grow(ps->arena, n->list, len * sizeof(*n->list),
                             (len ? len * 2 : 1) * sizeof(*n->list));
    n->list[n->list_len++] = item;
}

/* ---- tokens ---- */

static int advance(struct parser *p, bool infix) {
    if (jsonata_lex(&p->lexer, infix, &p->now) < 0)
        return -1;
    if (p->now.type == N_OPERATOR && (p->now.op == OP_BANG || p->now.op == OP_TILDE)) {
        jsonata_parse_failed(p->ps, "S0204", p->now.position, &p->now.value);
        return -1;
    }
    return 0;
}

static bool at(const struct parser *p, enum op op) {
    return p->now.type == N_OPERATOR && p->now.op == op;
}

/* Goes on after the operator that must stand here. */
static int expect(struct parser *p, enum op op, bool infix) {
    if (!at(p, op)) {
        const char *text = jsonata_op_text(op);

        jsonata_parse_failed(p->ps, p->now.type == N_END ? "S0203" : "S0202",
                             p->now.position, &p->now.value);
        p->ps->failure.value = value_string_ref(text, strlen(text));
        return -1;
    }
    return advance(p, infix);
}

/* ---- what starts an expression ---- */

static struct node *parse_block(struct parser *p, struct node *n) {
    n->type = N_BLOCK;
    while (!at(p, OP_RPAREN)) {
        struct node *part = expression(p, 0);

        if (!part)
            return NULL;
        jsonata_append_node(p->ps, n, part);
        if (!at(p, OP_SEMICOLON))
            break;
        if (advance(p, false) < 0)
            return NULL;
    }
    return expect(p, OP_RPAREN, true) < 0 ? NULL : n;
}

static struct node *parse_range(struct parser *p, struct node *from) {
    struct node *n = jsonata_new_node(p->ps, N_BINARY, p->now.position);

    n->op = OP_RANGE;
    n->value = value_string_ref("..", 2);
    n->lhs = from;
    if (advance(p, false) < 0)
        return NULL;
    n->rhs = expression(p, 0);
    return n->rhs ? n : NULL;
}

static struct node *parse_array(struct parser *p, struct node *n) {
    n->type = N_UNARY;
    if (!at(p, OP_RBRACKET))
        for (;;) {
            struct node *item = expression(p, 0);

            if (item && at(p, OP_RANGE))
                item = parse_range(p, item);
            if (!item)
                return NULL;
            jsonata_append_node(p->ps, n, item);
            if (!at(p, OP_COMMA))
                break;
            if (advance(p, false) < 0)
                return NULL;
        }
    return expect(p, OP_RBRACKET, true) < 0 ? NULL : n;
}

static struct group *parse_pairs(struct parser *p, uint32_t position) {
    struct group *g = arena_zalloc(p->ps->arena, sizeof(*g));
    size_t cap = 0;

    g->position = position;
    if (!at(p, OP_RBRACE))
        for (;;) {
            struct pair pair;

            pair.key = expression(p, 0);
            if (!pair.key || expect(p, OP_COLON, false) < 0)
                return NULL;
            pair.value = expression(p, 0);
            if (!pair.value)
                return NULL;
            if (g->len == cap) {
                size_t more = cap ? cap * 2 : 4;

                g->pairs = arena_grow(p->ps->arena, g->pairs, cap * sizeof(pair),
                                      more * sizeof(pair));
                cap = more;
            }
            g->pairs[g->len++] = pair;
            if (!at(p, OP_COMMA))
                break;
            if (advance(p, false) < 0)
                return NULL;
        }
    return expect(p, OP_RBRACE, true) < 0 ? NULL : g;
}

static struct node *parse_object(struct parser *p, struct node *n) {
    n->type = N_UNARY;
    n->group = parse_pairs(p, n->position);
    return n->group ? n : NULL;
}

static struct node *parse_transform(struct parser *p, struct node *n) {
    n->type = N_TRANSFORM;
    n->lhs = expression(p, 0);
    if (!n->lhs || expect(p, OP_PIPE, false) < 0)
        return NULL;
    n->rhs = expression(p, 0);
    if (!n->rhs)
        return NULL;
    if (at(p, OP_COMMA)) {
        if (advance(p, false) < 0)
            return NULL;
        n->third = expression(p, 0);
        if (!n->third)
            return NULL;
    }
    return expect(p, OP_PIPE, false) < 0 ? NULL : n;
}

static struct node *parse_negation(struct parser *p, struct node *n) {
    n->type = N_UNARY;
    n->lhs = expression(p, 70);
    return n->lhs ? n : NULL;
}

/* The token t starts an expression; the one after it is p->now. */
static struct node *prefix(struct parser *p, const struct token *t) {
    struct node *n = node_of_token(p, t);

    if (t->type != N_OPERATOR)
        return n;
    switch (t->op) {
    case OP_AND:
    case OP_OR:
    case OP_IN:
        return n; /* used as a name */
    case OP_MINUS:
        return parse_negation(p, n);
    case OP_STAR:
        n->type = N_WILDCARD;
        return n;
    case OP_STARSTAR:
        n->type = N_DESCENDANT;
        return n;
    case OP_PERCENT:
        n->type = N_PARENT;
        return n;
    case OP_LPAREN:
        return parse_block(p, n);
    case OP_LBRACKET:
        return parse_array(p, n);
    case OP_LBRACE:
        return parse_object(p, n);
    case OP_PIPE:
        return parse_transform(p, n);
    default:
        return jsonata_parse_failed(p->ps, "S0211", t->position, &t->value);
    }
}

/* ---- what follows an expression ---- */

static int parse_arguments(struct parser *p, struct node *n) {
    if (!at(p, OP_RPAREN))
        for (;;) {
            struct node *arg;

            if (at(p, OP_QUESTION)) {
                n->type = N_PARTIAL;
                arg = node_of_token(p, &p->now);
                if (advance(p, false) < 0)
                    return -1;
            } else {
                arg = expression(p, 0);
                if (!arg)
                    return -1;
            }
            jsonata_append_node(p->ps, n, arg);
            if (!at(p, OP_COMMA))
                break;
            if (advance(p, false) < 0)
                return -1;
        }
    return expect(p, OP_RPAREN, true);
}

static void add_token_text(struct buf *b, const struct token *t) {
    char number[32];

    switch (t->value.type) {
    case VALUE_STRING:
        buf_add(b, t->value.str, t->value.len);
        break;
    case VALUE_NUMBER:
        buf_add(b, number, value_format_number(t->value.number, number));
        break;
    case VALUE_BOOL:
        buf_adds(b, t->value.boolean ? "true" : "false");
        break;
    default:
        buf_adds(b, "null");
        break;
    }
}

/* p->now is the `<` of a lambda's signature. */
static int parse_lambda_signature(struct parser *p, struct node *n) {
    uint32_t position = p->now.position;
    struct buf text = BUF_INIT;
    size_t offset;
    int depth = 1, rc = -1;

    buf_addc(&text, '<');
    while (depth > 0 && !at(p, OP_LBRACE) && p->now.type != N_END) {
        if (advance(p, false) < 0)
            goto out;
        if (at(p, OP_GT))
            depth--;
        else if (at(p, OP_LT))
            depth++;
        add_token_text(&text, &p->now);
    }
    if (expect(p, OP_GT, false) < 0)
        goto out;
    rc = jsonata_parse_signature(p->ps->arena, text.data, text.len, &n->signature,
                                 &p->ps->failure, &offset);
    if (rc < 0)
        p->ps->failure.position = (int64_t)(position + offset);
out:
    buf_fini(&text);
    return rc;
}

static struct node *parse_lambda(struct parser *p, struct node *n) {
    n->type = N_LAMBDA;
    for (size_t i = 0; i < n->list_len; i++)
        if (n->list[i]->type != N_VARIABLE) {
            jsonata_parse_failed(p->ps, "S0208", n->list[i]->position,
                                 &n->list[i]->value);
            p->ps->failure.value = of_number((double)i + 1);
            return NULL;
        }
    if (at(p, OP_LT) && parse_lambda_signature(p, n) < 0)
        return NULL;
    if (expect(p, OP_LBRACE, false) < 0)
        return NULL;
    n->rhs = expression(p, 0);
    if (!n->rhs || expect(p, OP_RBRACE, false) < 0)
        return NULL;
    return n;
}

static struct node *parse_call(struct parser *p, struct node *n, struct node *left) {
    n->type = N_FUNCTION;
    n->lhs = left;
    if (parse_arguments(p, n) < 0)
        return NULL;
    if (left->type == N_NAME && (value_equals_text(&left->value, "function") ||
                                 value_equals_text(&left->value, "\xCE\xBB")))
        return parse_lambda(p, n);
    return n;
}

static struct node *parse_filter(struct parser *p, struct node *n, struct node *left) {
    if (at(p, OP_RBRACKET)) {
        struct node *step = left;

        while (step->type == N_BINARY && step->op == OP_LBRACKET)
            step = step->lhs;
        step->keep_array = true;
        return advance(p, false) < 0 ? NULL : left;
    }
    n->type = N_BINARY;
    n->lhs = left;
    n->rhs = expression(p, 0);
    return !n->rhs || expect(p, OP_RBRACKET, true) < 0 ? NULL : n;
}

static struct node *parse_order(struct parser *p, struct node *n, struct node *left) {
    n->type = N_BINARY;
    n->lhs = left;
    if (expect(p, OP_LPAREN, false) < 0)
        return NULL;
    for (;;) {
        struct node *term = jsonata_new_node(p->ps, N_SORT, p->now.position);

        if (at(p, OP_LT) || at(p, OP_GT)) {
            term->descending = at(p, OP_GT);
            if (advance(p, false) < 0)
                return NULL;
        }
        term->lhs = expression(p, 0);
        if (!term->lhs)
            return NULL;
        jsonata_append_node(p->ps, n, term);
        if (!at(p, OP_COMMA))
            break;
        if (advance(p, false) < 0)
            return NULL;
    }
    return expect(p, OP_RPAREN, false) < 0 ? NULL : n;
}

static struct node *parse_condition(struct parser *p, struct node *n, struct node *left) {
    n->type = N_CONDITION;
    n->lhs = left;
    n->rhs = expression(p, 0);
    if (!n->rhs)
        return NULL;
    if (at(p, OP_COLON)) {
        if (advance(p, false) < 0)
            return NULL;
        n->third = expression(p, 0);
        if (!n->third)
            return NULL;
    }
    return n;
}

static struct node *parse_binary(struct parser *p, struct node *n, struct node *left,
                                 unsigned power) {
    n->type = N_BINARY;
    n->lhs = left;
    n->rhs = expression(p, power);
    return n->rhs ? n : NULL;
}

/* left is followed by the operator t; the token after it is p->now. */
static struct node *infix(struct parser *p, const struct token *t, struct node *left) {
    struct node *n = node_of_token(p, t);

    switch (t->op) {
    case OP_LPAREN:
        return parse_call(p, n, left);
    case OP_LBRACKET:
        return parse_filter(p, n, left);
    case OP_CARET:
        return parse_order(p, n, left);
    case OP_LBRACE:
        n->type = N_BINARY;
        n->lhs = left;
        n->group = parse_pairs(p, n->position);
        return n->group ? n : NULL;
    case OP_ASSIGN:
        if (left->type != N_VARIABLE)
            return jsonata_parse_failed(p->ps, "S0212", left->position, &left->value);
        return parse_binary(p, n, left, binding_powers[OP_ASSIGN] - 1);
    case OP_AT:
    case OP_HASH:
        if (!parse_binary(p, n, left, binding_powers[t->op]))
            return NULL;
        if (n->rhs->type != N_VARIABLE)
            return jsonata_parse_failed(p->ps, "S0214", n->rhs->position, &t->value);
        return n;
    case OP_QUESTION:
        return parse_condition(p, n, left);
    default:
        return parse_binary(p, n, left, binding_powers[t->op]);
    }
}

static unsigned power_of(const struct token *t) {
    return t->type == N_OPERATOR ? binding_powers[t->op] : 0;
}

static struct node *expression(struct parser *p, unsigned power) {
    struct token t = p->now;
    struct node *left;

    if (jsonata_parse_enter(p->ps, t.position) < 0)
        return NULL;
    if (advance(p, true) < 0)
        return NULL;
    left = prefix(p, &t);
    while (left && power < power_of(&p->now)) {
        t = p->now;
        if (advance(p, false) < 0)
            return NULL;
        left = infix(p, &t, left);
    }
    p->ps->depth--;
    return left;
}

const struct node *jsonata_parse(struct parse *ps, const char *text, size_t len) {
    struct parser p = {.ps = ps,
                       .lexer = {.ps = ps, .text = text, .end = text + len, .p = text}};
    struct node *n;

    ps->depth = 0;
    ps->labels = 0;
    if (advance(&p, false) < 0)
        return NULL;
    n = expression(&p, 0);
    if (!n)
        return NULL;
    if (p.now.type != N_END)
        return jsonata_parse_failed(ps, "S0201", p.now.position, &p.now.value);
    ps->depth = 0;
    n = jsonata_process(ps, n);
    if (!n)
        return NULL;
    if (n->type == N_PARENT || n->seeking)
        return jsonata_orphan_parent(ps, n);
    return n;
}
