#include "launcher/job/hosts.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"

#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 1 << 20 };
static const char blanks[] = " \t\r";

/* ---- the file ---- */

static struct host *find(const struct hosts *hosts, const char *name)
{
    for (int i = 0; i < hosts->n; i++)
        if (strcmp(hosts->item[i].name, name) == 0)
            return &hosts->item[i];
    return NULL;
}

/* The text is one of a command line of mpirun later: nothing in it may mean something there. */
static bool is_name(const char *word)
{
    const char *const good = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@";
    return word[0] != '-' && strlen(word) < HOST_NAME_BYTES && word[strspn(word, good)] == '\0';
}

static bool read_slots(const char *word, int *slots)
{
    char *rest;
    if (strncmp(word, "slots=", 6) != 0)
        return false;
    const long number = strtol(word + 6, &rest, 10);
    *slots = (int)number;
    return rest != word + 6 && *rest == '\0' && number >= 1 && number <= HOST_SLOTS_MAX;
}

static bool add(struct hosts *hosts, const char *name, int slots, struct error *err)
{
    struct host *host = find(hosts, name);
    if (host == NULL && hosts->n == HOSTS_MAX)
        return error_set(err, ERROR_INPUT, "more than %d hosts", HOSTS_MAX);
    if (host == NULL) {
        host = &hosts->item[hosts->n++];
        *host = (struct host){.slots = 0};
        snprintf(host->name, sizeof host->name, "%s", name);
    }
    if (host->slots + slots > HOST_SLOTS_MAX)
        return error_set(err, ERROR_INPUT, "%s has more than %d slots", name, HOST_SLOTS_MAX);
    host->slots += slots;
    return true;
}

/* The next word of a line, which is cut there; NULL: there is none. */
static char *next_word(char **at)
{
    char *word = *at + strspn(*at, blanks);
    char *end = word + strcspn(word, blanks);
    *at = end + (*end != '\0');
    *end = '\0';
    return *word != '\0' ? word : NULL;
}

static bool read_line(struct hosts *hosts, char *line, struct error *err)
{
    line[strcspn(line, "#")] = '\0';
    const char *name = next_word(&line), *word = next_word(&line), *more = next_word(&line);
    int slots;
    if (name == NULL)
        return true;
    if (!is_name(name) || word == NULL || !read_slots(word, &slots) || more != NULL)
        return error_set(err, ERROR_INPUT, "want a name and slots=N with N from 1 to %d",
                         HOST_SLOTS_MAX);
    return add(hosts, name, slots, err);
}

bool hosts_read(struct hosts *out, const char *path, struct error *err)
{
    char *text;
    size_t n_bytes;
    *out = (struct hosts){0};
    if (!file_read(&text, &n_bytes, path, FILE_MAX_BYTES, err))
        return error_in(err, "--hostfile");
    out->item = memory_alloc(HOSTS_MAX, sizeof *out->item);
    bool good = strlen(text) == n_bytes ||
                error_set(err, ERROR_INPUT, "--hostfile %s: a zero byte is no text", path);
    char *line = text;
    for (int number = 1; good && line != NULL; number++) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end++ = '\0';
        good = read_line(out, line, err) || error_in(err, "--hostfile %s: line %d", path, number);
        line = end;
    }
    memory_free(text);
    return good && (out->n > 0 || error_set(err, ERROR_INPUT, "--hostfile %s names no host", path));
}

void hosts_release(struct hosts *hosts)
{
    memory_free(hosts->item);
    *hosts = (struct hosts){0};
}

/* ---- places ---- */

bool hosts_place(const struct hosts *hosts, int tp_size, int pp_stages, int *n_ranks,
                 struct error *err)
{
    long long slots = 0, stages = 0, left = (long long)tp_size * pp_stages;
    for (int i = 0; i < hosts->n; i++) {
        slots += hosts->item[i].slots;
        stages += hosts->item[i].slots / tp_size;
    }
    if (slots < left)
        return error_set(err, ERROR_INPUT,
                         "--hostfile has %lld slots, and -tp %d with -pp %d wants %lld", slots,
                         tp_size, pp_stages, left);
    const bool whole_stages = stages >= pp_stages;
    for (int i = 0; i < hosts->n; i++) {
        const int here = hosts->item[i].slots;
        const long long room = whole_stages ? here / tp_size * tp_size : here;
        n_ranks[i] = (int)(room < left ? room : left);
        left -= n_ranks[i];
    }
    return true;
}

/* An address is one of this machine when a socket can have it. */
static bool is_own_address(const char *name)
{
    const struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    bool own = false;
    if (getaddrinfo(name, NULL, &wanted, &found) != 0)
        return false;
    for (const struct addrinfo *at = found; !own && at != NULL; at = at->ai_next) {
        const int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        own = fd >= 0 && bind(fd, at->ai_addr, at->ai_addrlen) == 0;
        if (fd >= 0)
            close(fd);
    }
    freeaddrinfo(found);
    return own;
}

bool host_is_this(const char *name)
{
    char own[HOST_NAME_MAX + 1] = "";
    const char *at = strchr(name, '@'); /* user@host */
    const char *host = at != NULL ? at + 1 : name;
    gethostname(own, sizeof own - 1);
    const size_t n_host = strcspn(host, "."), n_own = strcspn(own, ".");
    const bool both_long = host[n_host] != '\0' && own[n_own] != '\0';
    return strcmp(host, "localhost") == 0 || strcmp(host, own) == 0 ||
           (!both_long && n_host == n_own && strncmp(host, own, n_own) == 0) ||
           is_own_address(host);
}
