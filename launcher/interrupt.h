/* launcher/interrupt.h: what signals ask of a command that has ranks to end.
 *
 * The first SIGINT, SIGTERM or SIGHUP sets a flag to its number: the command ends its ranks and
 * returns (under nohup a SIGHUP does nothing). The second ends this process at once, and the ranks
 * with it. A command that talks with its user takes SIGINT differently: it stops what goes on, any
 * number of times.
 */
#pragma once
#include <signal.h>
#include <stdbool.h>

/* From here on signals set the flag. It lives as long as the process. */
const volatile sig_atomic_t *interrupt_catch(void);

/* From here on a SIGINT only ever sets the flag. */
void interrupt_keep_sigint(void);
/* Whether the flag was set by SIGINT, and then it is no more. */
bool interrupt_take_sigint(void);
