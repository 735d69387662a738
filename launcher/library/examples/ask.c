/* Several questions at once: all are asked, then all are answered together, as fast as the ranks
 * can; the answers are printed in the order of the questions.
 *
 *     cc ask.c -o ask $(pkg-config --cflags --libs phalanx)
 *     ./ask demo/model "Once upon a time" "The old king"
 */
#include <phalanx.h>
#include <stdio.h>

#define MAX_QUESTIONS 64

int main(int argc, char **argv)
{
    struct phalanx_error err;
    if (argc < 3 || argc - 2 > MAX_QUESTIONS) {
        fprintf(stderr, "usage: ask MODEL PROMPT…\n");
        return 2;
    }

    /* Two ranks share the work. Any option of the command line can stand here. */
    const char *const options[] = {"--tensor-parallel-size=2"};
    struct phalanx_model *model = phalanx_open(argv[1], options, 1, &err);
    if (model == NULL) {
        fprintf(stderr, "ask: %s\n", err.text);
        return 1;
    }

    /* The parameters have the names of the HTTP API. Each request is yours until you release it. */
    const char *parameters = "{\"temperature\": 0, \"max_tokens\": 24}";
    struct phalanx_request *request[MAX_QUESTIONS];
    const int n = argc - 2;
    for (int i = 0; i < n; i++) {
        request[i] = phalanx_ask(model, argv[2 + i], parameters, NULL, NULL, &err);
        if (request[i] == NULL)
            fprintf(stderr, "ask: question %d: %s\n", i + 1, err.text);
    }

    /* One may fail and the others go on, so each is looked at. */
    int n_failed = 0;
    for (int i = 0; i < n; i++) {
        if (request[i] != NULL && phalanx_wait(request[i], &err))
            printf("%s\n", phalanx_text(request[i], 0, NULL));
        else
            n_failed++;
        phalanx_release(request[i]);
    }
    phalanx_close(model);
    return n_failed > 0;
}
