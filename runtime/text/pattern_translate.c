/* One walk over the expression. Everything that is not named here is either the same in both
 * syntaxes or refused. */
#include "base/bytes.h"
#include "base/error.h"
#include "runtime/text/pattern.h"

#include <string.h>

/* \w: UTS 18 annex C. PCRE2 means letters, numbers and '_', and its newer versions something else
 * again. */
static const char word_class[] =
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}"
    "\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}\\x{200c}\\x{200d}";

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

static bool translate_escape(struct translation *t, struct error *err)
{
    static const char same[] = "dDsSpPxntrfae0"; /* and, outside of classes: */
    static const char same_outside[] = "bBAzZ123456789";
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
        bytes_printf(t->out, t->in_class ? "%s" : "[%s]", word_class);
        break;
    case 'W':
        if (t->in_class)
            return refuse(t, "\\W in a class is not supported", err);
        bytes_printf(t->out, "[^%s]", word_class);
        break;
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

static bool translate_in_class(struct translation *t, struct error *err)
{
    const char *here = t->regex + t->at;
    if (*here == '[' && here[1] == ':') {
        const char *end = strstr(here, ":]");
        if (end == NULL)
            return refuse(t, "a class that does not end", err);
        copy(t, (size_t)(end + 2 - here));
        return true;
    }
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
