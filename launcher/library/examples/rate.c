/* How likely a model finds texts: the log-probability of each token of a text, given those before.
 * All texts are asked at once and told as they end; the last line of each is its perplexity.
 *
 *     cc rate.c -o rate $(pkg-config --cflags --libs phalanx) -lm
 *     ./rate demo/model "The old king was sad." "The old was sad king."
 */
#include <math.h>
#include <phalanx.h>
#include <stdio.h>

/* Each token with what the model would have liked better: the first entry of a row is the token
 * itself, and the second one the likeliest other. */
static void print_rate(const struct phalanx_request *request)
{
    const char *text = (const char *)phalanx_context(request);
    double sum = 0;
    size_t n_tokens, n;
    phalanx_prompt_tokens(request, &n_tokens);
    printf("%s\n", text);
    for (size_t i = 1; i < n_tokens; i++) { /* before the first token there is nothing */
        const struct phalanx_logprob *row = phalanx_prompt_logprobs(request, i, &n);
        sum += row[0].logprob;
        printf("  %8.4f  rank %-4d '%s'", row[0].logprob, (int)row[0].rank, row[0].text);
        if (n > 1 && row[0].rank > 1)
            printf(", likelier: '%s'", row[1].text);
        printf("\n");
    }
    printf("  perplexity %.4f\n", n_tokens > 1 ? exp(-sum / (double)(n_tokens - 1)) : 1.0);
}

int main(int argc, char **argv)
{
    struct phalanx_error err;
    if (argc < 3) {
        fprintf(stderr, "usage: rate MODEL TEXT…\n");
        return 2;
    }
    struct phalanx_model *model = phalanx_open(argv[1], NULL, 0, &err);
    if (model == NULL) {
        fprintf(stderr, "rate: %s\n", err.text);
        return 1;
    }

    /* Nothing is to be written: one token is the least that can be asked for. */
    const char *parameters = "{\"max_tokens\": 1, \"prompt_logprobs\": 1}";
    int n_failed = 0;
    for (int i = 2; i < argc; i++)
        if (phalanx_ask(model, argv[i], parameters, NULL, argv[i], &err) == NULL) {
            fprintf(stderr, "rate: \"%s\": %s\n", argv[i], err.text);
            n_failed++;
        }

    /* A step brings what there is; those that it has ended are told one by one. */
    bool good = true;
    for (int n_left = argc - 2 - n_failed; good && n_left > 0;) {
        struct phalanx_request *done;
        good = phalanx_step(model, 1000, &err);
        while ((done = phalanx_next_done(model)) != NULL) {
            n_left--;
            if (phalanx_wait(done, &err)) /* it has ended: this only tells how */
                print_rate(done);
            else
                n_failed++;
            phalanx_release(done);
        }
    }
    if (!good || n_failed > 0)
        fprintf(stderr, "rate: %s\n", err.text);
    phalanx_close(model);
    return good && n_failed == 0 ? 0 : 1;
}
