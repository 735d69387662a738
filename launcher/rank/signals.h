/* launcher/rank/signals.h: what signals mean to a rank. */
#pragma once

struct rank_models;

/* The terminal's SIGINT is the gateway's; a rank ends with its parent. A weight file that shrinks
 * under its mapping, or a disk that fails, ends the process with EXIT_IO and the name of the file.
 */
void rank_signals_set(void);
/* Whose files these are; borrowed. NULL: no longer. */
void rank_signals_watch(const struct rank_models *models);
