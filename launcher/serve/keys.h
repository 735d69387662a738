/* launcher/serve/keys.h: who may ask. From --api-key, PHALANX_API_KEY, and a file.
 *
 * A line of the file is a key, or a name for logs, a space, and a key; '#' begins a comment. Keys
 * have 8 to 255 visible ASCII characters. Comparing takes the same time whatever was sent.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct error;
struct keys;
struct options;

/* ERROR_INPUT: a file that cannot be read, a key that is none (the text has its number or its line,
 * never the key). */
bool keys_open(struct keys **out, const struct options *options, struct error *err);
void keys_close(struct keys *keys); /* NULL is fine */
/* Reads the file again. When it fails the keys of before stay. */
bool keys_reload(struct keys *keys, struct error *err);
int keys_count(const struct keys *keys);
/* `authorization`: "Bearer KEY" as HTTP and gRPC send it, or NULL. Without keys everybody may.
 * *tenant: the same number for the same key, also after a reload and a restart; 0: nobody's. */
bool keys_allow(const struct keys *keys, const char *authorization, uint64_t *tenant);
