/* launcher/chat/history.h: the messages of a conversation, on disk as a JSON list.
 *
 * A turn is what a user said and all up to what the user says next. The system message stands
 * apart: forgetting leaves it.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct error;

struct chat_history { /* release it */
    json_t *messages; /* without the system message */
    json_t *system;   /* a text, or NULL */
};

void chat_history_init(struct chat_history *out);
void chat_history_release(struct chat_history *h);

/* UTF-8. An empty system message is none. */
void chat_history_set_system(struct chat_history *h, const char *text);
void chat_history_add(struct chat_history *h, const char *role, const char *text, size_t n_bytes);
void chat_history_remove_last(struct chat_history *h);
void chat_history_clear(struct chat_history *h);
size_t chat_history_turns(const struct chat_history *h);
/* Forgets the oldest turns; the number of their messages. */
size_t chat_history_forget(struct chat_history *h, size_t n_turns);

/* As a template takes it, without the oldest turns. A new reference. */
json_t *chat_history_messages(const struct chat_history *h, size_t n_forgotten);

/* Writes a file that only this user can read. */
bool chat_history_save(const struct chat_history *h, const char *path, struct error *err);
/* Puts the file in place of what was there. ERROR_INPUT names the file and the message; then
 * nothing has changed. *n: how many it has. */
bool chat_history_load(struct chat_history *h, const char *path, size_t *n, struct error *err);
