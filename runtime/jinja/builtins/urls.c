/* Each part of an address ends where a character comes that it cannot have, so one pass is enough
 * and nothing is tried twice. Letters are compared without regard to case. */
#include "runtime/jinja/builtins/urls.h"

#include "base/utf8.h"
#include "runtime/jinja/values/letter_case.h"
#include "runtime/jinja/values/text.h"

#include <string.h>
#include <strings.h>

struct cursor {
    const struct string *s;
    size_t at, end;
};

/* The next character; 0 at the end. */
static uint32_t peek(const struct cursor *c)
{
    size_t at = c->at;
    return at < c->end ? utf8_read(c->s->data, &at) : 0;
}

static void skip(struct cursor *c) { utf8_read(c->s->data, &c->at); }

static bool take_text(struct cursor *c, const char *text)
{
    const size_t n = strlen(text);
    if (c->end - c->at < n || strncasecmp(c->s->data + c->at, text, n) != 0)
        return false;
    c->at += n;
    return true;
}

/* Takes up to `max` characters of a kind; how many there were. */
static int take(struct cursor *c, bool (*is)(uint32_t), int max)
{
    int n = 0;
    for (; n < max && c->at < c->end && is(peek(c)); n++)
        skip(c);
    return n;
}

static bool in_label(uint32_t c) { return char_is_word(c) || c == '%' || c == '-'; }

static bool in_idna(uint32_t c) { return char_is_word(c) || c == '%'; }

/* a to z; without regard to case Unicode has four more */
static bool in_domain(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == 0x130 || c == 0x131 ||
           c == 0x17F || c == 0x212A;
}

static bool is_hex(uint32_t c)
{
    return (c < 0x80 && c != 0 && strchr("abcdefABCDEF", (int)c) != NULL) || char_is_decimal(c);
}

/* Port, path, query, fragment, and then nothing. */
static bool ends(struct cursor c)
{
    if (peek(&c) == ':') {
        skip(&c);
        if (take(&c, char_is_decimal, 5) == 0)
            return false;
    }
    const uint32_t next = peek(&c);
    return c.at == c.end || next == '/' || next == '?' || next == '#';
}

/* Labels of at least `least` characters with a point behind each; how many. */
static int take_labels(struct cursor *c, int least, int most)
{
    for (int n = 0;; n++) {
        struct cursor next = *c;
        const int n_chars = take(&next, in_label, most);
        if (n_chars < least || peek(&next) != '.')
            return n;
        skip(&next);
        *c = next;
    }
}

static bool is_named(struct cursor c)
{
    take_labels(&c, 1, INT32_MAX);
    struct cursor idna = c;
    if (take(&c, in_domain, 63) >= 2 && ends(c))
        return true;
    return take_text(&idna, "xn--") && take(&idna, in_idna, 59) >= 2 && ends(idna);
}

static bool is_well_known(struct cursor c)
{
    static const char *const domains[] = {"com", "net", "int", "edu", "gov", "org", "info", "mil"};
    if (take_labels(&c, 2, 63) == 0)
        return false;
    for (size_t i = 0; i < sizeof domains / sizeof *domains; i++) {
        struct cursor behind = c;
        if (take_text(&behind, domains[i]) && ends(behind))
            return true;
    }
    return false;
}

static bool is_ipv4(struct cursor c)
{
    for (int i = 0; i < 4; i++) {
        if (i > 0 && !take_text(&c, "."))
            return false;
        if (take(&c, char_is_decimal, 3) == 0)
            return false;
    }
    return ends(c);
}

static bool is_ipv6(struct cursor c)
{
    if (!take_text(&c, "["))
        return false;
    for (int i = 0; i < 2; i++) {
        take(&c, is_hex, 4);
        if (!take_text(&c, ":"))
            return false;
    }
    for (int i = 0; i < 6; i++) {
        take(&c, is_hex, 4);
        take_text(&c, ":");
    }
    return take_text(&c, "]") && ends(c);
}

bool url_is_web(const struct string *s, size_t begin, size_t end)
{
    const struct cursor start = {s, begin, end};
    struct cursor c = start;
    if ((take_text(&c, "https://") || take_text(&c, "http://")) &&
        (is_named(c) || is_ipv4(c) || is_ipv6(c)))
        return true;
    c = start;
    return (take_text(&c, "www.") && is_named(c)) || is_well_known(start);
}

bool url_is_mail(const struct string *s, size_t begin, size_t end)
{
    const char *at = end > begin ? memrchr(s->data + begin, '@', end - begin) : NULL;
    if (at == NULL || at == s->data + begin)
        return false;
    struct cursor c = {s, (size_t)(at - s->data) + 1, end};
    if (c.at == end || !char_is_word(peek(&c)))
        return false;
    int behind_point = -1; /* characters behind the last one; none yet */
    bool words = false;    /* and all of them are of words */
    skip(&c);
    for (; c.at < c.end; skip(&c)) {
        const uint32_t next = peek(&c);
        if (next == '.') {
            behind_point = 0;
            words = true;
        } else if (char_is_word(next) || next == '-') {
            words &= next != '-';
            behind_point += behind_point >= 0;
        } else
            return false;
    }
    return words && behind_point > 0;
}

bool url_is_scheme(const struct string *s)
{
    struct cursor c = {s, 0, s->n_bytes};
    int n = 0;
    for (; c.at < c.end; n++, skip(&c)) {
        const uint32_t next = peek(&c);
        if (!char_is_word(next) && next != '.' && next != '+' && next != '-')
            break;
    }
    if (n < 2 || !take_text(&c, ":"))
        return false;
    take_text(&c, "/");
    take_text(&c, "/");
    return c.at == c.end;
}
