/* launcher/job/keeper.h: what a start has made goes away also when this program is killed in it.
 *
 * Until the ranks have found each other a job has folders with names. SIGKILL, or a system without
 * memory, leaves nobody who would remove them: the ranks are ended too. The keeper is a process
 * that sleeps meanwhile. It has no file of ours but one end of a socket, by whose end it hears of
 * this program's, takes no signals, and is nobody's child. Then it ends the job and cleans up.
 */
#pragma once

struct job;

/* Once the job runs. Where no process can be made there is no keeper, and nothing else changes. */
void keeper_start(struct job *job);
/* It is not needed any more, and ends. Safe on a job without one. */
void keeper_dismiss(struct job *job);
