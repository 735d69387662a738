/* launcher/job/keeper.h: what a start makes goes away also when this program is killed in it.
 *
 * Until the ranks have found each other a job has folders with names. SIGKILL, or a system without
 * memory, leaves nobody who would remove them: the ranks are ended too. The keeper is a process
 * that sleeps meanwhile. It is there before any of them is made, and knows their names. It has no
 * file of ours but one end of a socket, by whose end it hears of this program's, takes no signals,
 * is nobody's child, and in no process group of ours. Then it ends the job and cleans up.
 */
#pragma once
#include <sys/types.h>

struct job;

/* When the names are chosen, and nothing has them yet. Where no process can be made there is no
 * keeper, and nothing else changes. */
void keeper_start(struct job *job);
/* The process of the job, which says so itself before it makes files of its own: so there is none
 * that the keeper does not know. Takes no lock. */
void keeper_tell(const struct job *job, pid_t pid);
/* It is not needed any more, and ends. Safe on a job without one. */
void keeper_dismiss(struct job *job);
