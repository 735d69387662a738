/* Files of hosts, and which ranks go where. */
#include "launcher/job/hosts.h"

#include "base/error.h"
#include "tests/files.h"
#include "tests/test.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

enum { MAX_HOSTS = 4 };

static bool read_text(struct hosts *hosts, const char *text, struct error *err)
{
    const struct folder folder = folder_make();
    const struct file_path path = folder_write(&folder, "hosts", text, strlen(text));
    const bool good = hosts_read(hosts, path.text, err);
    folder_remove(&folder);
    return good;
}

static void check_refused(const char *text, const char *says)
{
    struct hosts hosts;
    struct error err = {0};
    CHECK(!read_text(&hosts, text, &err));
    CHECK_EQ((int)err.kind, ERROR_INPUT);
    CHECK(strstr(err.text, says) != NULL);
    hosts_release(&hosts);
}

/* Ranks of hosts with these slots; a slot of 0 ends the list. */
static bool place(const int *slots, int tp, int pp, int *n_ranks, struct error *err)
{
    struct host item[MAX_HOSTS];
    struct hosts hosts = {.item = item};
    for (; hosts.n < MAX_HOSTS && slots[hosts.n] > 0; hosts.n++)
        item[hosts.n] = (struct host){.slots = slots[hosts.n]};
    return hosts_place(&hosts, tp, pp, n_ranks, err);
}

TEST(names_and_slots_are_read_past_comments)
{
    struct hosts hosts;
    struct error err = {0};
    CHECK(read_text(&hosts, "# two hosts\n\nnode1 slots=4\n\troot@node2.lan  slots=2 # old\r\n",
                    &err));
    CHECK_EQ(hosts.n, 2);
    CHECK(strcmp(hosts.item[0].name, "node1") == 0);
    CHECK_EQ(hosts.item[0].slots, 4);
    CHECK(strcmp(hosts.item[1].name, "root@node2.lan") == 0);
    CHECK_EQ(hosts.item[1].slots, 2);
    hosts_release(&hosts);
}

TEST(a_host_named_twice_has_the_slots_of_both)
{
    struct hosts hosts;
    struct error err = {0};
    CHECK(read_text(&hosts, "a slots=1\nb slots=1\na slots=2\n", &err));
    CHECK_EQ(hosts.n, 2);
    CHECK_EQ(hosts.item[0].slots, 3);
    hosts_release(&hosts);
}

TEST(a_wrong_line_is_named)
{
    check_refused("a slots=1\nb\n", "line 2: want a name and slots=N");
    check_refused("a slots=0\n", "line 1");
    check_refused("a slots=1x\n", "line 1");
    check_refused("a slots=99999999999999999999\n", "line 1");
    check_refused("a slots=1 max_slots=2\n", "line 1");
    check_refused("--prefix slots=1\n", "line 1");
    check_refused("a,b slots=1\n", "line 1");
    check_refused("a slots=4000\na slots=4000\n", "more than 4096 slots");
    check_refused("# nobody\n", "names no host");
}

TEST(a_missing_file_is_named)
{
    struct hosts hosts;
    struct error err = {0};
    CHECK(!hosts_read(&hosts, "/nowhere/hosts", &err));
    CHECK(strstr(err.text, "--hostfile: /nowhere/hosts") != NULL);
    hosts_release(&hosts);
}

TEST(ranks_fill_the_hosts_in_order)
{
    int n_ranks[MAX_HOSTS];
    struct error err = {0};
    CHECK(place((const int[]){4, 4, 0}, 1, 6, n_ranks, &err));
    CHECK_EQ(n_ranks[0], 4);
    CHECK_EQ(n_ranks[1], 2);
}

TEST(a_stage_stays_on_one_host_where_it_can)
{
    int n_ranks[MAX_HOSTS];
    struct error err = {0};
    CHECK(place((const int[]){3, 3, 0}, 2, 2, n_ranks, &err));
    CHECK_EQ(n_ranks[0], 2);
    CHECK_EQ(n_ranks[1], 2);
}

TEST(a_stage_that_fits_nowhere_is_spread)
{
    int n_ranks[MAX_HOSTS];
    struct error err = {0};
    CHECK(place((const int[]){1, 2, 1, 0}, 4, 1, n_ranks, &err));
    CHECK_EQ(n_ranks[0], 1);
    CHECK_EQ(n_ranks[1], 2);
    CHECK_EQ(n_ranks[2], 1);
}

TEST(too_few_slots_are_counted)
{
    int n_ranks[MAX_HOSTS];
    struct error err = {0};
    CHECK(!place((const int[]){2, 2, 0}, 3, 2, n_ranks, &err));
    CHECK(strstr(err.text, "4 slots, and -tp 3 with -pp 2 wants 6") != NULL);
}

TEST(this_machine_has_its_name_and_its_addresses)
{
    char name[HOST_NAME_MAX + 1] = "";
    CHECK(gethostname(name, sizeof name - 1) == 0);
    CHECK(host_is_this(name));
    CHECK(host_is_this("localhost"));
    CHECK(host_is_this("127.0.0.1"));
    CHECK(host_is_this("someone@localhost"));
    CHECK(!host_is_this("192.0.2.1")); /* of nobody: RFC 5737 */
}
