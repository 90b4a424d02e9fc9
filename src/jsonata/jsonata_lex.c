#include "jsonata_lex.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"

static const char *const op_texts[] = {
    [OP_NONE] = "",       [OP_DOT] = ".",      [OP_LBRACKET] = "[", [OP_RBRACKET] = "]",
    [OP_LBRACE] = "{",    [OP_RBRACE] = "}",   [OP_LPAREN] = "(",   [OP_RPAREN] = ")",
    [OP_COMMA] = ",",     [OP_AT] = "@",       [OP_HASH] = "#",     [OP_SEMICOLON] = ";",
    [OP_COLON] = ":",     [OP_QUESTION] = "?", [OP_PLUS] = "+",     [OP_MINUS] = "-",
    [OP_STAR] = "*",      [OP_SLASH] = "/",    [OP_PERCENT] = "%",  [OP_PIPE] = "|",
    [OP_EQ] = "=",        [OP_LT] = "<",       [OP_GT] = ">",       [OP_CARET] = "^",
    [OP_STARSTAR] = "**", [OP_RANGE] = "..",   [OP_ASSIGN] = ":=",  [OP_NE] = "!=",
    [OP_LE] = "<=",       [OP_GE] = ">=",      [OP_CHAIN] = "~>",   [OP_AND] = "and",
    [OP_OR] = "or",       [OP_IN] = "in",      [OP_CONCAT] = "&",   [OP_BANG] = "!",
    [OP_TILDE] = "~",
};

/* The operators of one character, which also end a name. */
static const uint8_t single_ops[128] = {
    ['.'] = OP_DOT,      ['['] = OP_LBRACKET, [']'] = OP_RBRACKET,  ['{'] = OP_LBRACE,
    ['}'] = OP_RBRACE,   ['('] = OP_LPAREN,   [')'] = OP_RPAREN,    [','] = OP_COMMA,
    ['@'] = OP_AT,       ['#'] = OP_HASH,     [';'] = OP_SEMICOLON, [':'] = OP_COLON,
    ['?'] = OP_QUESTION, ['+'] = OP_PLUS,     ['-'] = OP_MINUS,     ['*'] = OP_STAR,
    ['/'] = OP_SLASH,    ['%'] = OP_PERCENT,  ['|'] = OP_PIPE,      ['='] = OP_EQ,
    ['<'] = OP_LT,       ['>'] = OP_GT,       ['^'] = OP_CARET,     ['&'] = OP_CONCAT,
    ['!'] = OP_BANG,     ['~'] = OP_TILDE,
};

const char *jsonata_op_text(enum op op) {
    return op_texts[op];
}

uint32_t jsonata_lex_position(struct lexer *lx, const char *p) {
    size_t byte = (size_t)(p - lx->text);

    if (byte < lx->known_byte)
        lx->known_byte = lx->known_unit = 0;
    lx->known_unit +=
        value_utf16_length(lx->text + lx->known_byte, byte - lx->known_byte);
    lx->known_byte = byte;
    return (uint32_t)lx->known_unit;
}

static int failed(struct lexer *lx, const char *code, const char *p,
                  const struct value *token) {
    jsonata_parse_failed(lx->ps, code, jsonata_lex_position(lx, p), token);
    return -1;
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static enum op single_op(char c) {
    return (unsigned char)c < 128 ? single_ops[(unsigned char)c] : OP_NONE;
}

static int give(struct lexer *lx, struct token *t, enum node_type type, struct value v) {
    *t = (struct token){
        .type = type, .value = v, .position = jsonata_lex_position(lx, lx->p)};
    return 0;
}

static int give_op(struct lexer *lx, struct token *t, enum op op, size_t len) {
    lx->p += len;
    give(lx, t, N_OPERATOR, value_string_ref(op_texts[op], strlen(op_texts[op])));
    t->op = op;
    return 0;
}

static struct value text_of(struct lexer *lx, const char *s, size_t len) {
    return value_string_ref(arena_memdup(lx->ps->arena, s, len), len);
}

/* Skips white space and comments. */
static int skip_blank(struct lexer *lx) {
    const char *close;

    for (;;) {
        while (lx->p < lx->end && is_space(*lx->p))
            lx->p++;
        if (lx->end - lx->p < 2 || lx->p[0] != '/' || lx->p[1] != '*')
            return 0;
        close = memmem(lx->p + 2, (size_t)(lx->end - lx->p) - 2, "*/", 2);
        if (!close)
            return failed(lx, "S0106", lx->p, NULL);
        lx->p = close + 2;
    }
}

static enum op double_op(const char *p, const char *end) {
    if (end - p < 2)
        return OP_NONE;
    for (enum op op = OP_STARSTAR; op <= OP_CHAIN; op++)
        if (p[0] == op_texts[op][0] && p[1] == op_texts[op][1])
            return op;
    return OP_NONE;
}

/* p is after the opening slash. */
static int lex_regex(struct lexer *lx, struct token *t) {
    const char *start = lx->p, *p = start, *flags;
    bool ignore_case = false, multiline = false;
    const char *error;
    int depth = 0;

    for (; p < lx->end; p++) {
        bool escaped = p[-1] == '\\';

        if (*p == '/' && !escaped && depth == 0)
            break;
        if (!escaped && strchr("([{", *p) && *p)
            depth++;
        if (!escaped && strchr(")]}", *p) && *p)
            depth--;
    }
    if (p == lx->end)
        return failed(lx, "S0302", p, NULL);
    if (p == start)
        return failed(lx, "S0301", p, NULL);
    for (flags = p + 1; flags < lx->end && (*flags == 'i' || *flags == 'm'); flags++) {
        bool *flag = *flags == 'i' ? &ignore_case : &multiline;

        if (*flag) {
            jsonata_parse_failed(lx->ps, NULL, 0, NULL);
            lx->ps->failure.text = "Invalid flags supplied to RegExp constructor";
            return -1;
        }
        *flag = true;
    }
    lx->p = flags;
    give(lx, t, N_REGEX, text_of(lx, start, (size_t)(p - start)));
    t->regex = jsonata_regex_compile(lx->ps->arena, start, (size_t)(p - start),
                                     ignore_case, multiline, &error);
    if (!t->regex) {
        jsonata_parse_failed(lx->ps, NULL, 0, NULL);
        lx->ps->failure.text = error;
        return -1;
    }
    return 0;
}

static int hex_digit(char c) {
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A UTF-16 unit as WTF-8, joined to a surrogate before it. */
static void add_unit(struct buf *b, uint32_t unit) {
    char utf8[3];
    size_t n = 3;

    if (unit < 0x80) {
        utf8[0] = (char)unit;
        n = 1;
    } else if (unit < 0x800) {
        utf8[0] = (char)(0xC0 | unit >> 6);
        utf8[1] = (char)(0x80 | (unit & 0x3F));
        n = 2;
    } else {
        utf8[0] = (char)(0xE0 | unit >> 12);
        utf8[1] = (char)(0x80 | (unit >> 6 & 0x3F));
        utf8[2] = (char)(0x80 | (unit & 0x3F));
    }
    value_wtf8_append(b, utf8, n);
}

/* lx->p is at the character after a backslash; leaves it at the escape's last. */
static int lex_escape(struct lexer *lx, struct buf *out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = lx->p < lx->end ? *lx->p : '\0';
    const char *found = c ? strchr(from, c) : NULL;
    struct value token;
    uint32_t unit = 0;
    size_t n = 0;

    if (found) {
        buf_addc(out, to[found - from]);
        return 0;
    }
    if (c != 'u') {
        size_t len = 0;

        if (lx->p < lx->end)
            for (len = 1; lx->p + len < lx->end && (lx->p[len] & 0xC0) == 0x80;)
                len++;
        token = text_of(lx, lx->p, len);
        return failed(lx, "S0103", lx->p, &token);
    }
    while (n < 4 && lx->p + 1 + n < lx->end) {
        int digit = hex_digit(lx->p[1 + n]);

        if (digit < 0)
            return failed(lx, "S0104", lx->p, NULL);
        unit = unit << 4 | (uint32_t)digit;
        n++;
    }
    if (n == 0)
        return failed(lx, "S0104", lx->p, NULL);
    lx->p += n;
    add_unit(out, unit);
    return 0;
}

static int lex_string(struct lexer *lx, struct token *t) {
    struct buf out = BUF_INIT;
    char quote = *lx->p++;

    for (; lx->p < lx->end; lx->p++) {
        if (*lx->p == '\\') {
            lx->p++;
            if (lex_escape(lx, &out) < 0) {
                buf_fini(&out);
                return -1;
            }
            if (lx->p >= lx->end)
                break;
        } else if (*lx->p == quote) {
            lx->p++;
            give(lx, t, N_STRING, text_of(lx, out.data ? out.data : "", out.len));
            buf_fini(&out);
            return 0;
        } else {
            const char *start = lx->p;

            while (lx->p + 1 < lx->end && lx->p[1] != '\\' && lx->p[1] != quote)
                lx->p++;
            value_wtf8_append(&out, start, (size_t)(lx->p + 1 - start));
        }
    }
    buf_fini(&out);
    return failed(lx, "S0101", lx->end, NULL);
}

/* Length of a number at p, 0 when there is none. */
static size_t number_length(const char *p, const char *end) {
    const char *start = p, *q;

    if (p == end || !is_digit(*p))
        return 0;
    if (*p++ != '0')
        while (p < end && is_digit(*p))
            p++;
    if (end - p >= 2 && *p == '.' && is_digit(p[1]))
        for (p++; p < end && is_digit(*p);)
            p++;
    if (p < end && (*p == 'e' || *p == 'E')) {
        q = p + 1;
        if (q < end && (*q == '+' || *q == '-'))
            q++;
        if (q < end && is_digit(*q)) {
            while (q < end && is_digit(*q))
                q++;
            p = q;
        }
    }
    return (size_t)(p - start);
}

static int lex_number(struct lexer *lx, struct token *t, size_t len) {
    double n = value_parse_float(lx->p, len);
    struct value token;

    if (!isfinite(n)) {
        token = text_of(lx, lx->p, len);
        return failed(lx, "S0102", lx->p, &token);
    }
    lx->p += len;
    return give(lx, t, N_NUMBER, of_number(n));
}

static int lex_quoted_name(struct lexer *lx, struct token *t) {
    const char *start = lx->p + 1;
    const char *close = memchr(start, '`', (size_t)(lx->end - start));

    if (!close)
        return failed(lx, "S0105", lx->end, NULL);
    lx->p = close + 1;
    return give(lx, t, N_NAME, text_of(lx, start, (size_t)(close - start)));
}

static int lex_name(struct lexer *lx, struct token *t) {
    const char *start = lx->p, *p = start;
    size_t len;

    while (p < lx->end && !is_space(*p) && !single_op(*p))
        p++;
    len = (size_t)(p - start);
    lx->p = p;
    if (len && *start == '$')
        return give(lx, t, N_VARIABLE, text_of(lx, start + 1, len - 1));
    for (enum op op = OP_AND; op <= OP_IN; op++)
        if (len == strlen(op_texts[op]) && memcmp(start, op_texts[op], len) == 0)
            return give_op(lx, t, op, 0);
    if (len == 4 && memcmp(start, "true", 4) == 0)
        return give(lx, t, N_VALUE, value_true);
    if (len == 5 && memcmp(start, "false", 5) == 0)
        return give(lx, t, N_VALUE, value_false);
    if (len == 4 && memcmp(start, "null", 4) == 0)
        return give(lx, t, N_VALUE, value_null);
    if (len == 0)
        return give(lx, t, N_END, value_string_ref("(end)", 5));
    return give(lx, t, N_NAME, text_of(lx, start, len));
}

int jsonata_lex(struct lexer *lx, bool infix, struct token *t) {
    enum op op;
    size_t len;

    if (skip_blank(lx) < 0)
        return -1;
    if (lx->p == lx->end)
        return lex_name(lx, t);
    if (!infix && *lx->p == '/') {
        lx->p++;
        return lex_regex(lx, t);
    }
    op = double_op(lx->p, lx->end);
    if (op)
        return give_op(lx, t, op, 2);
    op = single_op(*lx->p);
    if (op)
        return give_op(lx, t, op, 1);
    if (*lx->p == '"' || *lx->p == '\'')
        return lex_string(lx, t);
    len = number_length(lx->p, lx->end);
    if (len)
        return lex_number(lx, t, len);
    if (*lx->p == '`')
        return lex_quoted_name(lx, t);
    return lex_name(lx, t);
}
