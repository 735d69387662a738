/* launcher/chat/chat.h: what the parts of `phalanx chat` share: the loop, answers, /commands. */
#pragma once
#include "launcher/chat/history.h"
#include "launcher/session.h"
#include "runtime/gateway/chat_prompt.h"

#include <stdbool.h>

struct chat_template;
struct options;

struct chat {
    struct options *options; /* /set changes those of sampling */
    struct session session;
    struct chat_template *template;
    struct chat_prompt prompt;
    struct chat_history history;
    bool has_editor;  /* input and output are a terminal: escapes are fine */
    bool interactive; /* somebody types: Ctrl-C stops an answer, a mistake does not end it all */
    bool stats;
};

/* Answers the last message of the history and puts the answer there. The oldest turns are
 * forgotten where they leave no room in the context, and that is said. When it fails, or is stopped
 * before anything came, the last message is taken back. ERROR_INPUT, ERROR_LIMIT: the chat can go
 * on. */
bool chat_answer(struct chat *chat, struct error *err);

/* A line that begins with '/'. It prints what came of it. */
void chat_command(struct chat *chat, const char *line);

/* One line to the user that is no answer: on standard error, dim on a terminal. */
void chat_note(const struct chat *chat, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
