#include "launcher/bench/random.h"
#include "launcher/bench/samples.h"
#include "tests/test.h"

#include <math.h>

TEST(gaps_have_the_mean_and_the_spread_of_their_distribution)
{
    static const double shapes[] = {0.3, 1, 2.5, 50};
    for (int i = 0; i < 4; i++) {
        uint64_t state = 7;
        struct samples gaps = {0};
        for (int k = 0; k < 100000; k++)
            samples_add(&gaps, random_gamma(&state, shapes[i]));
        const double spread = 1 / sqrt(shapes[i]);
        CHECK(fabs(samples_mean(&gaps) - 1) < 5 * spread / sqrt(100000));
        CHECK(fabs(samples_std(&gaps) - spread) < 0.05 * spread);
        CHECK(samples_percentile(&gaps, 0) >= 0);
        samples_release(&gaps);
    }
}

TEST(a_uniform_number_is_never_0_or_1)
{
    uint64_t state = 0;
    double sum = 0;
    for (int i = 0; i < 100000; i++) {
        const double x = random_uniform(&state);
        CHECK(x > 0 && x < 1);
        sum += x;
    }
    CHECK(fabs(sum / 100000 - 0.5) < 0.01);
}
