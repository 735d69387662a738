#include "launcher/serve/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify_send(const char *lines)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t n = path != NULL ? strlen(path) : 0;
    if (n < 2 || n >= sizeof address.sun_path || (*path != '/' && *path != '@'))
        return;
    memcpy(address.sun_path, path, n);
    if (*path == '@') /* a name that is no file */
        address.sun_path[0] = '\0';
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    const socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (struct sockaddr *)&address, length);
    close(fd);
}

int64_t notify_watchdog_ns(void)
{
    const char *every = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (every == NULL || (pid != NULL && strtoll(pid, NULL, 10) != getpid()))
        return 0;
    const long long us = strtoll(every, NULL, 10);
    return us > 0 && us < INT64_MAX / 1000 ? (int64_t)us * 1000 / 2 : 0;
}
