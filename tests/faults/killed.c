/* For LD_PRELOAD: phalanx is killed (SIGKILL) at a step of its start, right after a call of the
 * system's.
 *
 *   KILLED_AFTER  which one: "mkdir 2" is the second call of mkdir(); or of bind() or fork()
 *   KILLED_WITH   group: all of its process group; else only itself
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pid_t program; /* the first phalanx; 0: this is another program */

__attribute__((constructor)) static void note_program(void)
{
    program = strcmp(program_invocation_short_name, "phalanx") == 0 ? getpid() : 0;
}

/* Its n-th `call` has been done; its children have the same counts and are not meant. */
static void die_after(const char *call, int n)
{
    char now[32];
    const char *when = getenv("KILLED_AFTER"), *with = getenv("KILLED_WITH");
    snprintf(now, sizeof now, "%s %d", call, n);
    if (when != NULL && strcmp(when, now) == 0 && getpid() == program)
        kill(with != NULL && strcmp(with, "group") == 0 ? 0 : program, SIGKILL);
}

int mkdir(const char *path, mode_t mode)
{
    static int n;
    const int result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    die_after("mkdir", ++n);
    return result;
}

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    static int n;
    const int result = (int)syscall(SYS_bind, fd, address, length);
    die_after("bind", ++n);
    return result;
}

pid_t fork(void)
{
    static int n;
    pid_t (*next)(void);
    *(void **)&next = dlsym(RTLD_NEXT, "fork");
    const pid_t child = next();
    if (child != 0)
        die_after("fork", ++n);
    return child;
}
