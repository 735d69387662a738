/* launcher/bench/page_cache.h: files of a folder leave the system's memory, so that the next one
 * who reads them reads the disk. */
#pragma once
#include <stdbool.h>

struct error;

/* Asks for it, for the regular files right in the folder; *left is the share of their bytes that is
 * in memory after all, 0 .. 1: a file system in memory keeps all, and the system tells only owners.
 * ERROR_INPUT: no such folder. */
bool page_cache_drop(const char *folder, double *left, struct error *err);
