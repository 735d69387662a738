// libphalanx from C++, against the installed header: handles in unique_ptr, a lambda as the text
// function. Prints a stream, the same answer whole, and how many tokens it has.
#include <cstdio>
#include <memory>
#include <phalanx.h>
#include <string>

struct Close {
    void operator()(phalanx_model *model) const { phalanx_close(model); }
    void operator()(phalanx_request *request) const { phalanx_release(request); }
};
using Model = std::unique_ptr<phalanx_model, Close>;
using Request = std::unique_ptr<phalanx_request, Close>;

int main(int argc, char **argv)
{
    phalanx_error err;
    const Model model(argc > 1 ? phalanx_open(argv[1], nullptr, 0, &err) : nullptr);
    const std::string parameters = R"({"temperature": 0, "max_tokens": 8, "logprobs": 1})";
    std::string streamed;
    const auto keep = [](void *context, phalanx_request *, int, const char *text, size_t n) {
        static_cast<std::string *>(context)->append(text, n);
        return true;
    };
    const Request answer(
        phalanx_ask(model.get(), "Once upon a time", parameters.c_str(), keep, &streamed, &err));
    if (!phalanx_wait(answer.get(), &err)) {
        std::fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    size_t n_tokens = 0, n = 0;
    phalanx_tokens(answer.get(), 0, &n_tokens);
    const phalanx_logprob *row = phalanx_logprobs(answer.get(), 0, 0, &n);
    std::printf("%s\n%s\n%zu %d\n", streamed.c_str(), phalanx_text(answer.get(), 0, nullptr),
                n_tokens, row != nullptr && row[0].rank == 1);
    return 0;
}
