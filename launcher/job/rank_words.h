/* launcher/job/rank_words.h: the command line of a rank. */
#pragma once
#include <stdbool.h>

struct arena;
struct error;
struct options;

enum { RANK_WORDS_MAX = 96 };

/* Fills word[] with phalanx-rank (that beside this program; of a
 * library that of PHALANX_RANK, else of its own installation), the model, its link and the options
 * that ranks know, and NULL; the number without NULL in *n. `link`: as link_connect() takes it;
 * NULL for a rank that is not 0. `replica`: its number on this host. The model's folder becomes an
 * absolute path: a rank may begin in another folder. Texts live in `arena`. ERROR_INPUT when the
 * program is not there. */
bool rank_words(char *word[RANK_WORDS_MAX], int *n, const struct options *options,
                const char *model_folder, const char *link, int replica, struct arena *arena,
                struct error *err);
