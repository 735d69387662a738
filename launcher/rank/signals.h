/* launcher/rank/signals.h: what a rank does with signals: it ends with its parent, leaves ^C to the
 * gateway, and tells which weight file became unreadable under its mapping (SIGBUS).
 */
#pragma once

struct rank_models;

void rank_signals_set(void);
/* The models whose files are mapped from now on; borrowed. NULL: none. */
void rank_signals_mapped(const struct rank_models *models);
