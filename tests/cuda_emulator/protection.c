/* Keeps the host out of device memory, and says who touched what. */
#include "tests/cuda_emulator/block.h"
#include "tests/cuda_emulator/runtime.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

static int device_key = -1; /* of protection; -1: the processor or the kernel has none */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void say_who(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code == SEGV_PKUERR)
        emulated_die("the host touches device memory at %p", info->si_addr);
    if (emulated_self)
        emulated_die("thread (%u, %u, %u) touches %p, where no memory is, or its stack is full",
                     emulated_self->index.x, emulated_self->index.y, emulated_self->index.z,
                     info->si_addr);
    signal(number, SIG_DFL); /* not our affair: the same instruction ends the process */
}

static void set_up(void)
{
    struct sigaction now;
    device_key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
    if (sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == SIG_DFL) {
        struct sigaction ours = {.sa_sigaction = say_who, .sa_flags = SA_SIGINFO | SA_ONSTACK};
        sigaction(SIGSEGV, &ours, NULL);
    }
}

bool emulated_guards_memory(void)
{
    pthread_once(&once, set_up);
    return device_key >= 0;
}

bool device_memory_open(void)
{
    if (!emulated_guards_memory())
        return true;
    const bool was_open = pkey_get(device_key) == 0;
    pkey_set(device_key, 0);
    return was_open;
}

void device_memory_close(bool was_open)
{
    if (!was_open)
        pkey_set(device_key, PKEY_DISABLE_ACCESS);
}

void *device_pages_new(size_t n_bytes)
{
    void *p = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (emulated_guards_memory())
        pkey_mprotect(p, n_bytes, PROT_READ | PROT_WRITE, device_key);
    return p;
}
