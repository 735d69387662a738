#include "launcher/interrupt.h"

#include <stddef.h>

static volatile sig_atomic_t flag;

static void on_signal(int number)
{
    if (flag == 0 || number != SIGINT)
        flag = number;
}

const volatile sig_atomic_t *interrupt_catch(void)
{
    const struct sigaction stop = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    struct sigaction before;
    sigaction(SIGHUP, NULL, &before);
    if (before.sa_handler != SIG_IGN) /* nohup */
        sigaction(SIGHUP, &stop, NULL);
    return &flag;
}

void interrupt_keep_sigint(void)
{
    const struct sigaction set = {.sa_handler = on_signal};
    sigaction(SIGINT, &set, NULL);
}

bool interrupt_take_sigint(void)
{
    if (flag != SIGINT)
        return false;
    flag = 0; /* a SIGTERM between the two lines is lost, and the next one is not */
    return true;
}
