/* One walk over the expression. Everything that is not named here is either the same in both
 * syntaxes or refused. */
#include "base/bytes.h"
#include "base/error.h"
#include "runtime/text/split/pattern.h"

#include <string.h>

/* \w as Oniguruma's tables have it: what UTS 18 says without the two joiners, and outside of a
 * class six numbers of Latin-1 too. PCRE2 means letters, numbers and '_', and its newer versions
 * something else again. */
#define WORD_IN_CLASS                                      \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24b6}-\\x{24e9}" \
    "\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"
#define WORD     "[" WORD_IN_CLASS "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}]"
#define NOT_WORD "[^" WORD_IN_CLASS "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}]"

struct translation {
    const char *regex;
    size_t at;
    bool in_class;
    struct bytes *out;
};

static bool refuse(const struct translation *t, const char *what, struct error *err)
{
    return error_set(err, ERROR_UNSUPPORTED, "%s at byte %zu of the pattern \"%.120s\"", what,
                     t->at, t->regex);
}

static void copy(struct translation *t, size_t n_bytes)
{
    bytes_add(t->out, t->regex + t->at, n_bytes);
    t->at += n_bytes;
}

static bool translate_unicode_escape(struct translation *t, struct error *err)
{
    const char *digits = t->regex + t->at + 2;
    if (strspn(digits, "0123456789abcdefABCDEF") < 4)
        return refuse(t, "\\u without four digits", err);
    bytes_printf(t->out, "\\x{%.4s}", digits);
    t->at += 6;
    return true;
}

/* \p{L}, \p{Lu} and so on are the same. A longer name is a script, which in PCRE2 would be all
 * characters that are used with it, unless one says "sc:". */
static bool translate_property(struct translation *t, struct error *err)
{
    const char *name = t->regex + t->at + 2;
    const size_t negated = *name == '{' && name[1] == '^';
    const size_t n_name = *name == '{' ? strcspn(name + 1 + negated, "}") : 0;
    if (n_name == 0 || name[1 + negated + n_name] != '}')
        return refuse(t, "a property without {}", err);
    name += 1 + negated;
    for (size_t i = 0; i < n_name; i++)
        if ((name[i] < 'a' || name[i] > 'z') && (name[i] < 'A' || name[i] > 'Z') && name[i] != '_')
            return refuse(t, "a property that is not supported", err);
    const bool script = n_name > 2 && !(n_name == 3 && memcmp(name, "Any", n_name) == 0);
    bytes_printf(t->out, "\\%c{%s%s%.*s}", t->regex[t->at + 1], negated ? "^" : "",
                 script ? "sc:" : "", (int)n_name, name);
    t->at += 2 + 1 + negated + n_name + 1;
    return true;
}

static bool translate_escape(struct translation *t, struct error *err)
{
    static const char same[] = "dDsSxntrfae0"; /* and, outside of classes: */
    static const char same_outside[] = "AzZ123456789";
    const char kind = t->regex[t->at + 1];
    const bool letter = (kind >= 'a' && kind <= 'z') || (kind >= 'A' && kind <= 'Z') ||
                        (kind >= '0' && kind <= '9');
    if (kind == '\0')
        return refuse(t, "a backslash at the end", err);
    if (!letter || strchr(same, kind) || (!t->in_class && strchr(same_outside, kind))) {
        copy(t, 2);
        return true;
    }
    switch (kind) {
    case 'w':
        bytes_add_text(t->out, t->in_class ? WORD_IN_CLASS : WORD);
        break;
    case 'W':
        if (t->in_class)
            return refuse(t, "\\W in a class is not supported", err);
        bytes_add_text(t->out, NOT_WORD);
        break;
    case 'b':
    case 'B':
        if (t->in_class)
            return refuse(t, "\\b in a class is not supported", err);
        bytes_add_text(t->out, kind == 'b'
                                   ? "(?:(?<=" WORD ")(?!" WORD ")|(?<!" WORD ")(?=" WORD "))"
                                   : "(?:(?<=" WORD ")(?=" WORD ")|(?<!" WORD ")(?!" WORD "))");
        break;
    case 'p':
    case 'P':
        return translate_property(t, err);
    case 'h': /* a hexadecimal digit in Ruby */
        bytes_add_text(t->out, t->in_class ? "0-9a-fA-F" : "[0-9a-fA-F]");
        break;
    case 'v': /* the vertical tab */
        bytes_add_text(t->out, "\\x0b");
        break;
    case 'u':
        return translate_unicode_escape(t, err);
    default:
        return refuse(t, "an escape that is not supported", err);
    }
    t->at += 2;
    return true;
}

/* Behind "(?": what kind of group, or options, of which Ruby calls dotall "m". */
static bool translate_group(struct translation *t, struct error *err)
{
    static const char *const same[] = {":", "=", "!", ">", "<=", "<!"};
    copy(t, 2);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        if (strncmp(t->regex + t->at, same[i], strlen(same[i])) == 0) {
            copy(t, strlen(same[i]));
            return true;
        }
    }
    size_t n = strspn(t->regex + t->at, "imx-");
    const char end = t->regex[t->at + n];
    if (n == 0 || (end != ':' && end != ')'))
        return refuse(t, "a kind of group that is not supported", err);
    for (; n > 0; n--, t->at++)
        bytes_add_char(t->out, t->regex[t->at] == 'm' ? 's' : t->regex[t->at]);
    copy(t, 1);
    return true;
}

/* With the marks that are letters since Unicode 16. */
#define ALPHABETIC                                                                          \
    "\\p{Alphabetic}\\x{363}-\\x{36f}\\x{c04}\\x{f82}\\x{f83}\\x{1dd3}-\\x{1de6}\\x{11080}" \
    "\\x{11081}"

/* [:alpha:] within a class, by its properties in Oniguruma. */
static bool translate_posix_class(struct translation *t, struct error *err)
{
    static const char *const classes[][2] = {
        {"[:alnum:]", ALPHABETIC "\\p{Nd}"},
        {"[:alpha:]", ALPHABETIC},
        {"[:blank:]", "\\t\\p{Zs}"},
        {"[:cntrl:]", "\\p{Cc}"},
        {"[:digit:]", "\\p{Nd}"},
        {"[:lower:]", "\\p{Lowercase}\\x{10fc}\\x{a7f2}-\\x{a7f4}\\x{ab69}"},
        {"[:punct:]", "\\p{P}\\p{S}"},
        {"[:space:]", "\\s"},
        {"[:upper:]", "\\p{Uppercase}"},
        {"[:word:]", WORD_IN_CLASS},
        {"[:xdigit:]", "0-9a-fA-F"},
    };
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strncmp(t->regex + t->at, classes[i][0], strlen(classes[i][0])) == 0) {
            bytes_add_text(t->out, classes[i][1]);
            t->at += strlen(classes[i][0]);
            return true;
        }
    }
    return refuse(t, "a named class that is not supported", err);
}

static bool translate_in_class(struct translation *t, struct error *err)
{
    const char *here = t->regex + t->at;
    if (*here == '[' && here[1] == ':')
        return translate_posix_class(t, err);
    if (*here == '[')
        return refuse(t, "a class in a class is not supported", err);
    if (*here == '&' && here[1] == '&')
        return refuse(t, "the intersection of classes is not supported", err);
    t->in_class = *here != ']';
    copy(t, 1);
    return true;
}

/* Ruby repeats the repetition, PCRE2 would make it possessive. */
static bool is_repeated_repetition(const struct translation *t)
{
    const char *here = t->regex + t->at;
    if (here[0] != '}' || here[1] != '+')
        return false;
    const char *open = here;
    while (open > t->regex && strchr("0123456789,", open[-1]))
        open--;
    return open > t->regex && open[-1] == '{';
}

static bool translate_one(struct translation *t, struct error *err)
{
    const char *here = t->regex + t->at;
    if (*here == '\\')
        return translate_escape(t, err);
    if (t->in_class)
        return translate_in_class(t, err);
    if (*here == '(' && here[1] == '*')
        return refuse(t, "\"(*\" is not supported", err);
    if (*here == '(' && here[1] == '?')
        return translate_group(t, err);
    if (is_repeated_repetition(t))
        return refuse(t, "\"}+\" is not supported", err);
    if (*here == '[') {
        t->in_class = true;
        copy(t, here[1] == '^' ? 2 : 1);
        if (t->regex[t->at] == ']') /* the first one is a character */
            copy(t, 1);
        return true;
    }
    copy(t, 1);
    return true;
}

bool pattern_translate(const char *regex, struct bytes *out, struct error *err)
{
    struct translation t = {.regex = regex, .out = out};
    while (regex[t.at] != '\0')
        if (!translate_one(&t, err))
            return false;
    return true;
}
