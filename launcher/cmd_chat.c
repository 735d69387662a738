/* phalanx chat: questions from a terminal, a pipe or --quick; streamed answers; one session. */
#include "base/error.h"
#include "base/log.h"
#include "base/utf8.h"
#include "launcher/chat/chat.h"
#include "launcher/chat/line_editor.h"
#include "launcher/commands.h"
#include "launcher/interrupt.h"
#include "launcher/model_path.h"
#include "runtime/options/options.h"
#include "runtime/text/chat_template.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_MESSAGE_BYTES = 16 << 20 }; /* a message of a few million tokens */

/* These are LLaMA-Factory's texts: what drives its chat drives this one. */
static const char welcome[] = "Welcome to the CLI application, use `clear` to remove the history, "
                              "use `exit` to exit the application.";
static const char user_prompt[] = "User: ", assistant_prompt[] = "Assistant: ";
static const char no_utf8[] = "Detected decoding error at the inputs, please set the terminal "
                              "encoding to utf-8.";

struct source { /* of the lines */
    struct line_editor *editor;
    struct line_input input;
};

static bool is_word(const struct bytes *line, const char *word)
{
    const char *begin = line->data + strspn(line->data, " \t\r\n");
    const size_t n = strlen(word);
    return strncmp(begin, word, n) == 0 && begin[n + strspn(begin + n, " \t\r\n")] == '\0';
}

static bool is_blank(const struct bytes *line)
{
    return line->len == 0 || strspn(line->data, " \t\r\n") == line->len;
}

/* Adds the message and answers it. */
static bool say(struct chat *chat, const char *text, size_t n_bytes, struct error *err)
{
    chat_history_add(&chat->history, "user", text, n_bytes);
    return chat_answer(chat, err);
}

static bool take_line(struct chat *chat, const struct bytes *line, bool *leave, struct error *err)
{
    if (is_blank(line))
        return true;
    if (utf8_valid_bytes(line->data, line->len) < line->len || strlen(line->data) < line->len) {
        printf("%s\n", no_utf8);
        return true;
    }
    /* lines of a pipe may be anybody's: of them only LLaMA-Factory's two words are more than text
     */
    const bool is_command = chat->interactive && line->data[0] == '/';
    if (is_word(line, "exit") || (is_command && is_word(line, "/exit"))) {
        *leave = true;
        return true;
    }
    if (is_command || is_word(line, "clear")) {
        chat_command(chat, is_command ? line->data : "/clear");
        return true;
    }
    printf("%s", assistant_prompt);
    fflush(stdout);
    if (say(chat, line->data, line->len, err))
        return true;
    if (chat->interactive)
        interrupt_take_sigint(); /* it asked for the end of this answer, which has come */
    if (err->kind == ERROR_PEER || err->kind == ERROR_SYSTEM || !chat->interactive ||
        *chat->session.interrupt)
        return false;
    printf("\n");
    fflush(stdout);
    log_tell("phalanx", err->text);
    *err = (struct error){0};
    return true;
}

static enum line_result read_line(struct source *source, struct bytes *line, struct error *err)
{
    printf("\n");
    if (source->editor != NULL) {
        const enum line_result result = line_editor_read(source->editor, user_prompt, line);
        /* Ctrl-C is a signal until the terminal gives keys, and `kill -INT` always */
        if (result != LINE_STOPPED || !interrupt_take_sigint())
            return result;
        printf("\n");
        return LINE_DROPPED;
    }
    printf("%s", user_prompt);
    fflush(stdout);
    return line_input_read(&source->input, line, err);
}

/* Until the user leaves, the input ends, or a signal comes. */
static bool talk(struct chat *chat, struct source *source, struct error *err)
{
    struct bytes line = {.max = MAX_MESSAGE_BYTES};
    bool leave = false, good = true, was_empty_drop = false;
    printf("%s\n", welcome);
    while (good && !leave) {
        if (chat->interactive)
            interrupt_take_sigint(); /* one that came when the answer had ended */
        const enum line_result result = read_line(source, &line, err);
        const bool empty_drop = result == LINE_DROPPED && line.len == 0;
        if (result == LINE_READ) {
            bytes_add(&line, "", 0);
            good = take_line(chat, &line, &leave, err);
        } else if (result == LINE_END) {
            printf("\n");
            leave = true;
        } else if (empty_drop && was_empty_drop) {
            leave = true;
        } else if (empty_drop) {
            chat_note(chat, "Ctrl-C again leaves, as do Ctrl-D and exit");
        } else if (result == LINE_STOPPED) {
            good = error_set(err, ERROR_LIMIT, "interrupted");
        } else if (result == LINE_FAILED) {
            good = false;
        }
        was_empty_drop = empty_drop;
        leave = leave || ferror(stdout); /* nobody reads; main.c says so */
    }
    bytes_release(&line);
    return good;
}

static bool open_chat(struct chat *chat, const char *folder, const volatile sig_atomic_t *interrupt,
                      struct error *err)
{
    struct options *options = chat->options;
    options->n = 1;
    options->logprobs = LOGPROBS_OFF;
    if (options->system_prompt != NULL)
        chat_history_set_system(&chat->history, options->system_prompt);
    return chat_template_open(&chat->template, folder, options->chat_template, err) &&
           chat_prompt_init(&chat->prompt, chat->template, options, err) &&
           session_open(&chat->session, options, folder, interrupt, err);
}

static bool check_text(const char *option, const char *text, struct error *err)
{
    return text == NULL || utf8_valid_bytes(text, strlen(text)) == strlen(text) ||
           error_set(err, ERROR_INPUT, "%s: the text is not UTF-8", option);
}

static bool run(struct chat *chat, const char *folder, const volatile sig_atomic_t *interrupt,
                struct error *err)
{
    const char *quick = chat->options->quick;
    if (!check_text("--quick", quick, err) ||
        !check_text("--system-prompt", chat->options->system_prompt, err))
        return false;
    if (!open_chat(chat, folder, interrupt, err))
        return false;
    if (quick != NULL)
        return say(chat, quick, strlen(quick), err);
    struct source source = {.input = {.fd = STDIN_FILENO, .interrupt = interrupt}};
    if (chat->interactive)
        interrupt_keep_sigint();
    if (chat->has_editor)
        source.editor = line_editor_open(interrupt);
    const bool good = talk(chat, &source, err);
    line_editor_close(source.editor);
    bytes_release(&source.input.rest);
    return good;
}

bool cmd_chat(struct options *options, const volatile sig_atomic_t *interrupt, struct error *err)
{
    char folder[MODEL_PATH_BYTES];
    if (!model_path_find(folder, options->model, "config.json", err))
        return false;
    struct chat chat = {.options = options, .stats = options->stats};
    chat.session.interrupt = interrupt;
    chat.interactive = options->quick == NULL && isatty(STDIN_FILENO);
    chat.has_editor = chat.interactive && isatty(STDOUT_FILENO);
    chat_history_init(&chat.history);
    const bool good = run(&chat, folder, interrupt, err);
    session_close(&chat.session);
    json_decref(chat.prompt.variables);
    chat_template_close(chat.template);
    chat_history_release(&chat.history);
    return good;
}
