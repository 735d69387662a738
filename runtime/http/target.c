#include "runtime/http/target.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/hex.h"
#include "base/memory.h"

/* The form that proxies send begins with a scheme and a host, which we do not look at. */
static const char *skip_authority(const char *target)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
        const size_t n = strlen(schemes[i]);
        if (strncasecmp(target, schemes[i], n) == 0)
            return target + n + strcspn(target + n, "/?");
    }
    return target;
}

static bool is_control(int c) { return c < 0x20 || c == 0x7f; }

/* In place; false: see target.h. */
static bool decode(char *path)
{
    char *out = path;
    for (const char *in = path; *in != '\0'; in++) {
        int c = (unsigned char)*in;
        if (c == ' ')
            return false;
        if (c == '%') {
            const int high = hex_digit(in[1]);
            const int low = high < 0 ? -1 : hex_digit(in[2]);
            if (low < 0)
                return false;
            c = high * 16 + low;
            in += 2;
        }
        if (is_control(c))
            return false;
        *out++ = (char)c;
    }
    *out = '\0';
    return true;
}

bool target_split(const char *target, char **path, const char **query)
{
    const char *begin = skip_authority(target);
    const size_t n = strcspn(begin, "?");
    *query = begin[n] == '?' ? begin + n + 1 : "";
    if (n == 0 && begin != target) { /* "http://host" alone means its root */
        *path = memory_copy_text("/");
        return true;
    }
    if (*begin != '/')
        return false;
    *path = memory_alloc(n + 1, 1);
    memcpy(*path, begin, n);
    return decode(*path);
}
