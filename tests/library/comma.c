/* A program whose locale writes a half "0,5", as those with windows set it: what it asks, and what
 * it prints in between. */
#include <phalanx.h>

#include <locale.h>
#include <stdio.h>

static bool print_half(void *context, struct phalanx_request *request, int choice, const char *text,
                       size_t n_bytes)
{
    (void)context, (void)request, (void)choice, (void)text, (void)n_bytes;
    printf("%.1f\n", 0.5);
    return true;
}

int main(int argc, char **argv)
{
    static const char *const options[] = {"--temperature=0.7", "--top-p=0.9"};
    static const char *const messages = "[{\"role\": \"user\", \"content\": \"Hi\"}]";
    struct phalanx_error err = {PHALANX_NO_ERROR, "", "", "", ""};
    if (setlocale(LC_ALL, "") == NULL)
        return 3;
    struct phalanx_model *model = phalanx_open(argv[argc - 1], options, 2, &err);
    struct phalanx_request *r =
        phalanx_ask(model, "Once",
                    "{\"top_p\": 0.25, \"repetition_penalty\": 1.5, \"logit_bias\": {\"5\": -1.5}, "
                    "\"seed\": 1, \"max_tokens\": 1}",
                    print_half, NULL, &err);
    if (!phalanx_wait(r, &err))
        return fprintf(stderr, "%s\n", err.text) > 0;
    phalanx_ask(model, "Once", "{\"temperature\": 2.5}", NULL, NULL, &err);
    printf("%s\n", err.text);
    char *prompt = phalanx_render_chat(model, messages,
                                       "{\"chat_template_kwargs\": {\"half\": 0.5}}", NULL, &err);
    puts(prompt != NULL ? prompt : err.text);
    printf("%.1f\n", 0.5);
    phalanx_free(prompt);
    phalanx_close(model);
    return 0;
}
