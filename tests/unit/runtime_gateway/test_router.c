#include "runtime/gateway/router.h"
#include "tests/test.h"

enum { N_ENGINES = 3, N_TOKENS = 4 * ROUTER_RUN };

static int32_t token[2][N_TOKENS]; /* two prompts that have nothing in common */

static struct router_prompt prompt_of(int which, int n_tokens)
{
    for (int i = 0; i < N_TOKENS; i++)
        token[which][i] = which * 1000 + i;
    return (struct router_prompt){.token = token[which], .n_tokens = n_tokens};
}

static int choose(struct router *router, int which, int n_tokens, int load0, int load1, int load2)
{
    const int load[N_ENGINES] = {load0, load1, load2};
    const struct router_prompt prompt = prompt_of(which, n_tokens);
    return router_choose(router, &prompt, load, N_ENGINES);
}

TEST(the_least_busy_one_that_takes_requests_is_chosen)
{
    struct router *router = router_create();
    CHECK_EQ(choose(router, 0, 1, 2, 1, 3), 1);
    CHECK_EQ(choose(router, 0, 1, 2, ROUTER_NOBODY, 3), 0);
    CHECK_EQ(choose(router, 0, 1, ROUTER_NOBODY, ROUTER_NOBODY, 9), 2);
    CHECK_EQ(choose(router, 0, 1, ROUTER_NOBODY, ROUTER_NOBODY, ROUTER_NOBODY), ROUTER_NOBODY);
    router_destroy(router);
}

TEST(who_had_the_beginning_of_a_prompt_gets_it_while_its_load_allows)
{
    struct router *router = router_create();
    CHECK_EQ(choose(router, 0, N_TOKENS, 1, 1, 0), 2);
    CHECK_EQ(choose(router, 0, N_TOKENS, 0, 0, ROUTER_SLACK), 2);
    CHECK_EQ(choose(router, 1, N_TOKENS, 0, 0, ROUTER_SLACK), 0); /* another prompt */
    CHECK_EQ(choose(router, 0, N_TOKENS, 1, 0, ROUTER_SLACK + 1), 1);
    CHECK_EQ(choose(router, 0, N_TOKENS, 0, 1, 0), 1); /* who has it since */
    router_destroy(router);
}

TEST(a_prompt_with_the_same_beginning_goes_to_the_same)
{
    struct router *router = router_create();
    CHECK_EQ(choose(router, 0, 2 * ROUTER_RUN, 1, 1, 0), 2);
    CHECK_EQ(choose(router, 0, N_TOKENS, 0, 0, 1), 2);
    CHECK_EQ(choose(router, 0, ROUTER_RUN + 5, 0, 0, 1), 2);
    CHECK_EQ(choose(router, 0, ROUTER_RUN - 1, 0, 0, 1), 0); /* too short to count */
    router_destroy(router);
}

TEST(another_key_shares_nothing)
{
    struct router *router = router_create();
    const int load[N_ENGINES] = {0, 0, 1};
    const uint8_t salt[] = {'s'};
    struct router_prompt prompt = prompt_of(0, N_TOKENS);
    CHECK_EQ(choose(router, 0, N_TOKENS, 1, 1, 0), 2);
    prompt.cache_key = salt;
    prompt.n_cache_key = 1;
    CHECK_EQ(router_choose(router, &prompt, load, N_ENGINES), 0);
    router_destroy(router);
}

TEST(an_engine_that_started_again_has_nothing)
{
    struct router *router = router_create();
    CHECK_EQ(choose(router, 0, N_TOKENS, 1, 1, 0), 2);
    router_forget(router, 2);
    CHECK_EQ(choose(router, 0, N_TOKENS, 0, 0, 1), 0);
    router_destroy(router);
}
