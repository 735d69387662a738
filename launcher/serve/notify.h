/* launcher/serve/notify.h: what systemd is told (sd_notify(3)), where it has started us.
 *
 * A datagram of lines to the socket that $NOTIFY_SOCKET names: "READY=1", "STATUS=…". Without it
 * nothing happens, and an error is nobody's concern.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

void notify_send(const char *lines);
/* How often systemd wants to hear "WATCHDOG=1" ($WATCHDOG_USEC, for this process), halved as it
 * advises; 0: never. */
int64_t notify_watchdog_ns(void);
