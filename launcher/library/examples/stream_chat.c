/* A conversation in the terminal. Each line is a message; the answer is printed as it comes.
 *
 *     cc stream_chat.c -o stream_chat $(pkg-config --cflags --libs phalanx)
 *     ./stream_chat demo/model --tensor-parallel-size=2
 */
#include <phalanx.h>
#include <stdio.h>
#include <string.h>

#define MAX_CHAT (1 << 20)

/* The conversation as the library wants it: [{"role": …, "content": …}, …], without the ]. */
static char chat[MAX_CHAT];
static size_t n_chat;

static void add(const char *text, size_t n)
{
    if (n_chat + n + 2 > MAX_CHAT) /* what does not fit is left out: it is an example */
        return;
    memcpy(chat + n_chat, text, n);
    n_chat += n;
}

static void add_message(const char *role, const char *text)
{
    char start[64];
    const int n = snprintf(start, sizeof start, "%s{\"role\": \"%s\", \"content\": \"",
                           n_chat == 0 ? "[" : ", ", role);
    add(start, (size_t)n);
    for (; *text != '\0'; text++) { /* as JSON wants it */
        char escaped[8];
        if (*text == '"' || *text == '\\')
            snprintf(escaped, sizeof escaped, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)*text);
        else
            snprintf(escaped, sizeof escaped, "%c", *text);
        add(escaped, strlen(escaped));
    }
    add("\"}", 2);
}

/* Called with each new piece of text. To return false ends the answer. */
static bool print(void *context, struct phalanx_request *request, int choice, const char *text,
                  size_t n_bytes)
{
    (void)request;
    (void)choice;
    fwrite(text, 1, n_bytes, (FILE *)context);
    fflush((FILE *)context);
    return true;
}

int main(int argc, char **argv)
{
    struct phalanx_error err;
    char line[4096];
    if (argc < 2) {
        fprintf(stderr, "usage: stream_chat MODEL [option…]\n");
        return 2;
    }
    struct phalanx_model *model =
        phalanx_open(argv[1], (const char *const *)(argv + 2), argc - 2, &err);
    if (model == NULL) {
        fprintf(stderr, "stream_chat: %s\n", err.text);
        return 1;
    }
    fprintf(stderr, "%s\n", phalanx_about(model));

    int status = 0;
    while (status == 0 && fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        add_message("user", line);
        chat[n_chat] = ']';
        chat[n_chat + 1] = '\0';
        struct phalanx_request *answer = phalanx_ask_chat(model, chat, NULL, print, stdout, &err);
        if (answer != NULL && phalanx_wait(answer, &err)) {
            printf("\n");
            add_message("assistant", phalanx_text(answer, 0, NULL));
        } else { /* err.param and err.code say more to a program */
            fprintf(stderr, "stream_chat: %s\n", err.text);
            status = 1;
        }
        phalanx_release(answer);
    }
    phalanx_close(model);
    return status;
}
