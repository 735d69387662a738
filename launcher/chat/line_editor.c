/* libedit does the editing. What it cannot do goes through the function that gives it characters:
 * looking at the interrupt flag and at the size of the terminal while it waits, and taking a paste
 * apart from keys. Signals of the keyboard are off while a line is edited, so Ctrl-C is a key. */
#include "launcher/chat/line_editor.h"

#include "base/memory.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wctype.h>

enum {
    POLL_MS = 200,
    MAX_HISTORY_LINES = 1000,
    MAX_HISTORY_LINE_BYTES = 16 << 10, /* longer ones are pasted documents */
    /* of a file, which has up to four bytes for one; larger ones were written by something else */
    MAX_HISTORY_BYTES = 4 * MAX_HISTORY_LINES * MAX_HISTORY_LINE_BYTES,
    MAX_PASTE_CHARACTERS = 1 << 20,
    MAX_PATH_BYTES = 4096,
};

static const char paste_on[] = "\033[?2004h", paste_off[] = "\033[?2004l";
static const char paste_end[] = "\033[201~";

struct line_editor {
    EditLine *edit;
    History *history;
    char history_file[MAX_PATH_BYTES]; /* "" none */
    const volatile sig_atomic_t *interrupt;
    const char *prompt;
    unsigned char input[4096]; /* bytes from the terminal: [begin, end) are not yet given */
    size_t begin, end;
    struct winsize size; /* that libedit knows */
    bool can_paste;      /* the terminal knows bracketed paste */
    bool dropped;        /* Ctrl-C ended the line */
};

static struct line_editor *of(EditLine *edit)
{
    void *editor = NULL;
    el_get(edit, EL_CLIENTDATA, &editor);
    return editor;
}

/* ---- characters -------------------------------------------------------------------------------*/

static struct winsize terminal_size(void)
{
    struct winsize size = {0};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    return size;
}

/* After a change libedit still believes in the old place of the cursor, which may lie outside the
 * new screen, and writes there. A refresh begins with a new place. */
static void follow_size(struct line_editor *e)
{
    const struct winsize size = terminal_size();
    if (size.ws_col == e->size.ws_col && size.ws_row == e->size.ws_row)
        return;
    e->size = size;
    el_resize(e->edit);
    fputs("\r", stdout);
    el_set(e->edit, EL_REFRESH);
}

/* False at the end of the input, and when the flag is set. */
static bool read_byte(struct line_editor *e, unsigned char *out)
{
    while (e->begin == e->end) {
        struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
        if (*e->interrupt)
            return false;
        if (poll(&wait, 1, POLL_MS) <= 0) {
            follow_size(e);
            continue;
        }
        const ssize_t n = read(STDIN_FILENO, e->input, sizeof e->input);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            return false;
        e->begin = 0;
        e->end = n > 0 ? (size_t)n : 0;
    }
    *out = e->input[e->begin++];
    return true;
}

static size_t length_of(unsigned char first)
{
    return first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
}

/* The next character; U+FFFD for bytes that are none. */
static bool read_character(struct line_editor *e, uint32_t *out)
{
    char text[4];
    unsigned char byte;
    size_t at = 0, n = 0, want = 1;
    for (; n < want; n++) {
        if (!read_byte(e, &byte))
            return false;
        if (n > 0 && (byte & 0xC0) != 0x80) {
            e->begin--; /* it belongs to what comes next */
            break;
        }
        want = n == 0 ? length_of(byte) : want;
        text[n] = (char)byte;
    }
    *out = utf8_valid_bytes(text, n) == n ? utf8_read(text, &at) : 0xFFFD;
    return true;
}

/* An el_rfunc_t. */
static int give_character(EditLine *edit, wchar_t *out)
{
    uint32_t c;
    if (!read_character(of(edit), &c))
        return 0;
    *out = (wchar_t)c;
    return 1;
}

/* ---- keys -------------------------------------------------------------------------------------*/

static unsigned char drop_line(EditLine *edit, int key)
{
    (void)key;
    of(edit)->dropped = true;
    return CC_NEWLINE;
}

static unsigned char add_newline(EditLine *edit, int key)
{
    (void)key;
    return el_winsertstr(edit, L"\n") == 0 ? CC_REFRESH : CC_ERROR;
}

/* All up to the end of the paste goes into the line: newlines as they are, no other control
 * character but tab. */
static unsigned char take_paste(EditLine *edit, int key)
{
    struct line_editor *e = of(edit);
    (void)key;
    wchar_t *text = memory_alloc(MAX_PASTE_CHARACTERS + 1, sizeof *text);
    size_t n = 0, n_end = 0;
    uint32_t c = 0, before;
    while (n_end < sizeof paste_end - 1) {
        before = c;
        if (!read_character(e, &c))
            break;
        n_end = c == (unsigned char)paste_end[n_end] ? n_end + 1 : c == '\033';
        const bool is_pair = c == '\n' && before == '\r';
        if (n_end > 0 || is_pair || n == MAX_PASTE_CHARACTERS)
            continue;
        if (c == '\n' || c == '\r')
            text[n++] = L'\n';
        else if (c == '\t' || (c >= 0x20 && c != 0x7F && !(c >= 0x80 && c < 0xA0)))
            text[n++] = (wchar_t)c;
    }
    text[n] = L'\0';
    const bool good = n == 0 || el_winsertstr(edit, text) == 0;
    memory_free(text);
    return good ? CC_REFRESH : CC_ERROR;
}

/* Where libedit moves the cursor alone, it loses its place in a text of more lines than the screen
 * has, and what is then typed at the end goes beyond its memory. So what can reach the end shows
 * all of it again. */
static unsigned char move_to(EditLine *edit, const LineInfoW *line, const wchar_t *place)
{
    if (line->cursor == line->lastchar)
        return CC_ERROR;
    el_cursor(edit, (int)(place - line->cursor));
    return CC_REFRESH;
}

static unsigned char next_character(EditLine *edit, int key)
{
    const LineInfoW *line = el_wline(edit);
    (void)key;
    return move_to(edit, line, line->cursor + 1);
}

static unsigned char next_word(EditLine *edit, int key)
{
    const LineInfoW *line = el_wline(edit);
    const wchar_t *at = line->cursor;
    (void)key;
    while (at < line->lastchar && !iswalnum((wint_t)*at))
        at++;
    while (at < line->lastchar && iswalnum((wint_t)*at))
        at++;
    return move_to(edit, line, at);
}

static unsigned char end_of_text(EditLine *edit, int key)
{
    const LineInfoW *line = el_wline(edit);
    (void)key;
    return move_to(edit, line, line->lastchar);
}

static void bind_keys(EditLine *edit)
{
    static const char *const keys[][2] = {
        {"^C", "phalanx-drop"},
        {"\\e[200~", "phalanx-paste"},
        {"\\e^M", "phalanx-newline"},
        {"\\e^J", "phalanx-newline"},
        {"^R", "em-inc-search-prev"},
        {"^W", "ed-delete-prev-word"},
        {"\\e[3~", "ed-delete-next-char"},
        {"\\e[H", "ed-move-to-beg"},
        {"\\e[1~", "ed-move-to-beg"},
        {"\\e[1;5D", "ed-prev-word"},
        {"^F", "phalanx-right"},
        {"\\e[C", "phalanx-right"},
        {"\\eOC", "phalanx-right"},
        {"\\ef", "phalanx-next-word"},
        {"\\eF", "phalanx-next-word"},
        {"\\e[1;5C", "phalanx-next-word"},
        {"^E", "phalanx-end"},
        {"\\e[F", "phalanx-end"},
        {"\\eOF", "phalanx-end"},
        {"\\e[4~", "phalanx-end"},
        {"^X^X", "ed-unassigned"}, /* it changes places with a mark, which may be the end */
        {"^I", "ed-insert"},
    };
    el_set(edit, EL_EDITOR, "emacs");
    el_set(edit, EL_ADDFN, "phalanx-drop", "Take the line back", drop_line);
    el_set(edit, EL_ADDFN, "phalanx-paste", "Insert pasted text", take_paste);
    el_set(edit, EL_ADDFN, "phalanx-newline", "Insert a newline", add_newline);
    el_set(edit, EL_ADDFN, "phalanx-right", "Go right", next_character);
    el_set(edit, EL_ADDFN, "phalanx-next-word", "Go to the end of the word", next_word);
    el_set(edit, EL_ADDFN, "phalanx-end", "Go to the end", end_of_text);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        el_set(edit, EL_BIND, keys[i][0], keys[i][1], NULL);
}

/* ---- history ----------------------------------------------------------------------------------*/

/* $XDG_STATE_HOME/phalanx/chat_history, else ~/.phalanx_history. */
static void find_history_file(char *out)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = 0;
    *out = '\0';
    if (state != NULL && *state == '/') {
        n = snprintf(out, MAX_PATH_BYTES, "%s/phalanx", state);
        if (n < MAX_PATH_BYTES)
            mkdir(out, 0700); /* there already, or the file cannot be written either */
        n = snprintf(out, MAX_PATH_BYTES, "%s/phalanx/chat_history", state);
    } else if (home != NULL && *home != '\0') {
        n = snprintf(out, MAX_PATH_BYTES, "%s/.phalanx_history", home);
    }
    if (n >= MAX_PATH_BYTES)
        *out = '\0';
}

static void open_history(struct line_editor *e)
{
    HistEvent event;
    struct stat info;
    e->history = history_init();
    history(e->history, &event, H_SETSIZE, MAX_HISTORY_LINES);
    history(e->history, &event, H_SETUNIQUE, 1);
    el_set(e->edit, EL_HIST, history, e->history);
    find_history_file(e->history_file);
    if (stat(e->history_file, &info) != 0 || (S_ISREG(info.st_mode) && info.st_size == 0))
        return;
    if (!S_ISREG(info.st_mode) || info.st_size > MAX_HISTORY_BYTES ||
        history(e->history, &event, H_LOAD, e->history_file) < 0)
        e->history_file[0] = '\0'; /* not one of ours: it stays as it is */
}

/* A history that cannot be written is not worth a complaint at every start. */
static void save_history(struct line_editor *e)
{
    HistEvent event;
    if (e->history_file[0] == '\0')
        return;
    const int fd =
        open(e->history_file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return;
    close(fd); /* it is there with its mode before libedit writes it */
    history(e->history, &event, H_SAVE, e->history_file);
}

/* ---- the editor -------------------------------------------------------------------------------*/

static char *show_prompt(EditLine *edit) { return (char *)of(edit)->prompt; }

/* libedit measures and prints characters as the locale says: UTF-8 in any case. */
static void use_utf8(void)
{
    if (setlocale(LC_CTYPE, "") == NULL || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

struct line_editor *line_editor_open(const volatile sig_atomic_t *interrupt)
{
    const char *terminal = getenv("TERM");
    struct line_editor *e = memory_alloc(1, sizeof *e);
    e->interrupt = interrupt;
    e->can_paste = terminal != NULL && *terminal != '\0' && strcmp(terminal, "dumb") != 0;
    use_utf8();
    e->edit = el_init("phalanx", stdin, stdout, stderr);
    if (e->edit == NULL) {
        memory_free(e);
        return NULL;
    }
    el_set(e->edit, EL_CLIENTDATA, e);
    el_set(e->edit, EL_GETCFN, give_character);
    el_set(e->edit, EL_PROMPT, show_prompt);
    el_set(e->edit, EL_SIGNAL, 0);
    el_set(e->edit, EL_SETTY, "-d", "-isig", "-icrnl", "-inlcr", NULL);
    bind_keys(e->edit);
    open_history(e);
    return e;
}

void line_editor_close(struct line_editor *editor)
{
    if (editor == NULL)
        return;
    save_history(editor);
    history_end(editor->history);
    el_end(editor->edit);
    memory_free(editor);
}

static bool add_wide(struct bytes *out, const wchar_t *text, size_t n)
{
    bool good = true;
    for (size_t i = 0; good && i < n; i++) {
        char utf8[4];
        good = bytes_add(out, utf8, utf8_write(utf8, (uint32_t)text[i]));
    }
    return good;
}

/* One line of libedit, appended. */
static enum line_result read_part(struct line_editor *e, const char *prompt, struct bytes *line)
{
    int n = 0;
    e->prompt = prompt;
    e->dropped = false;
    el_set(e->edit, EL_PREP_TERM, 1); /* before the prompt: what is typed on seeing it is keys */
    fputs(e->can_paste ? paste_on : "", stdout);
    fflush(stdout);
    e->size = terminal_size(); /* el_wgets() looks too */
    const wchar_t *text = el_wgets(e->edit, &n);
    fputs(e->can_paste ? paste_off : "", stdout);
    fputs(e->dropped ? "^C\n" : "", stdout);
    fflush(stdout);
    const bool is_whole = text != NULL && n > 0 && text[n - 1] == L'\n';
    if (!is_whole && !e->dropped)
        return *e->interrupt ? LINE_STOPPED : LINE_END;
    const size_t n_text = text != NULL && n > 0 ? (size_t)n - is_whole : 0;
    const bool fits = add_wide(line, text, n_text);
    return fits && !e->dropped ? LINE_READ : LINE_DROPPED;
}

enum line_result line_editor_read(struct line_editor *editor, const char *prompt,
                                  struct bytes *line)
{
    HistEvent event;
    bytes_clear(line);
    enum line_result result = read_part(editor, prompt, line);
    while (result == LINE_READ && line->len > 0 && line->data[line->len - 1] == '\\') {
        line->data[line->len - 1] = '\n';
        result = read_part(editor, "... ", line);
    }
    if (result == LINE_READ && line->len > 0 && line->len <= MAX_HISTORY_LINE_BYTES)
        history(editor->history, &event, H_ENTER, line->data);
    return result;
}
