/* Which CPUs ranks keep to, on machines that are made up. */
#include "launcher/rank/binding.h"

#include "tests/test.h"

#include <string.h>

enum { MAX_RANKS = 16 };

static cpu_set_t cpus(const char *list)
{
    cpu_set_t out;
    CHECK(cpus_parse(&out, list));
    return out;
}

static struct numa_nodes nodes_of(const char *first, const char *second)
{
    struct numa_nodes out = {.cpus = {cpus(first), cpus(second)}, .n = 2};
    return out;
}

/* What n ranks get that may all use `may`. */
static void choose(enum binding binding, const struct numa_nodes *nodes, const char *may, int n,
                   cpu_set_t *gets)
{
    cpu_set_t all[MAX_RANKS];
    CHECK(n <= MAX_RANKS);
    for (int i = 0; i < n; i++)
        all[i] = cpus(may);
    binding_choose(binding, nodes, all, n, gets);
}

static void check_cpus(const cpu_set_t *got, const char *list)
{
    const cpu_set_t want = cpus(list);
    CHECK(CPU_EQUAL(got, &want));
}

TEST(a_list_of_the_kernel_is_read)
{
    const cpu_set_t set = cpus("0-3,8,10-11\n");
    CHECK_EQ(CPU_COUNT(&set), 7);
    CHECK(CPU_ISSET(3, &set) && CPU_ISSET(8, &set) && !CPU_ISSET(9, &set));
    const cpu_set_t none = cpus("\n"); /* a node of memory alone */
    CHECK_EQ(CPU_COUNT(&none), 0);
}

TEST(a_list_that_is_none_is_refused)
{
    static const char *const bad[] = {"a", "1-", "3-1", "-1", "0-99999", "1 2", "1,,2"};
    cpu_set_t set;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!cpus_parse(&set, bad[i]));
}

TEST(auto_gives_each_rank_a_node_of_its_own)
{
    const struct numa_nodes nodes = nodes_of("0-3", "4-7");
    cpu_set_t gets[2];
    choose(BINDING_AUTO, &nodes, "0-7", 2, gets);
    check_cpus(&gets[0], "0-3");
    check_cpus(&gets[1], "4-7");
    CHECK_EQ(binding_share(gets, 2, 0), 4);
}

TEST(auto_leaves_one_rank_or_one_node_alone)
{
    const struct numa_nodes nodes = nodes_of("0-3", "4-7");
    cpu_set_t gets[2];
    choose(BINDING_AUTO, &nodes, "0-7", 1, gets);
    check_cpus(&gets[0], "0-7");
    choose(BINDING_AUTO, &nodes, "0-2", 2, gets); /* all they may use is of one node */
    check_cpus(&gets[0], "0-2");
    check_cpus(&gets[1], "0-2");
    CHECK_EQ(binding_share(gets, 2, 1), 1);
}

TEST(ranks_that_outnumber_the_nodes_share_them)
{
    const struct numa_nodes nodes = nodes_of("0-3", "4-7");
    cpu_set_t gets[3];
    choose(BINDING_NUMA, &nodes, "0-7", 3, gets);
    check_cpus(&gets[0], "0-3");
    check_cpus(&gets[1], "0-3");
    check_cpus(&gets[2], "4-7");
    CHECK_EQ(binding_share(gets, 3, 0), 2);
    CHECK_EQ(binding_share(gets, 3, 2), 4);
}

TEST(one_rank_gets_all_nodes)
{
    const struct numa_nodes nodes = nodes_of("0-3", "4-7");
    cpu_set_t gets[1];
    choose(BINDING_NUMA, &nodes, "1-6", 1, gets);
    check_cpus(&gets[0], "1-6");
}

TEST(cores_are_shared_out_node_by_node)
{
    const struct numa_nodes nodes = nodes_of("0,2,4,6", "1,3,5,7"); /* as many servers count them */
    cpu_set_t gets[2];
    choose(BINDING_CORE, &nodes, "0-7", 2, gets);
    check_cpus(&gets[0], "0,2,4,6");
    check_cpus(&gets[1], "1,3,5,7");
}

TEST(cores_that_do_not_divide_all_belong_to_someone)
{
    const struct numa_nodes nodes = {.n = 0}; /* a machine that names no nodes */
    cpu_set_t gets[3];
    choose(BINDING_CORE, &nodes, "0-7", 3, gets);
    check_cpus(&gets[0], "0-1");
    check_cpus(&gets[1], "2-4");
    check_cpus(&gets[2], "5-7");
}

TEST(more_ranks_than_cores_are_left_as_they_are)
{
    const struct numa_nodes nodes = {.n = 0};
    cpu_set_t gets[3];
    choose(BINDING_CORE, &nodes, "0-1", 3, gets);
    check_cpus(&gets[2], "0-1");
    CHECK_EQ(binding_share(gets, 3, 0), 0);
}

TEST(ranks_that_a_launcher_has_bound_stay_so)
{
    const struct numa_nodes nodes = nodes_of("0-3", "4-7");
    const cpu_set_t may[] = {cpus("0"), cpus("5")};
    cpu_set_t gets[2];
    for (int binding = BINDING_NONE; binding <= BINDING_AUTO; binding++) {
        binding_choose((enum binding)binding, &nodes, may, 2, gets);
        check_cpus(&gets[0], "0");
        check_cpus(&gets[1], "5");
        CHECK_EQ(binding_share(gets, 2, 1), 1);
    }
}

TEST(names_are_those_of_the_option)
{
    CHECK_EQ((int)binding_of("none"), BINDING_NONE);
    CHECK_EQ((int)binding_of("core"), BINDING_CORE);
    CHECK_EQ((int)binding_of("numa"), BINDING_NUMA);
    CHECK_EQ((int)binding_of("auto"), BINDING_AUTO);
}
