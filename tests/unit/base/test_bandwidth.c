#include "base/bandwidth.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/team.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

/* The sanitizers see a read behind the end. */
TEST(every_size_is_read_once_and_timed)
{
    static const size_t sizes[] = {8, 64, (1 << 20) - 8, 1 << 20, (1 << 20) + 8, 5 << 20};
    struct team *team;
    struct error err = {0};
    CHECK(team_create(&team, 3, 0, NULL, &err));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *data = memory_alloc(sizes[i], 1);
        memset(data, 1, sizes[i]);
        const double rate = bandwidth_read(team, data, sizes[i]);
        CHECK(rate > 0 && isfinite(rate));
        memory_free(data);
    }
    team_destroy(team);
}

TEST(more_bytes_take_longer)
{
    enum { SMALL = 4 << 20, LARGE = 256 << 20 };
    struct team *team;
    struct error err = {0};
    CHECK(team_create(&team, 1, 0, NULL, &err));
    char *data = memory_alloc(LARGE, 1);
    memset(data, 1, LARGE);
    bandwidth_read(team, data, SMALL);
    const double small_s = SMALL / bandwidth_read(team, data, SMALL);
    const double large_s = LARGE / bandwidth_read(team, data, LARGE);
    CHECK(large_s > 2 * small_s); /* 64 times the bytes: nothing is skipped */
    memory_free(data);
    team_destroy(team);
}
