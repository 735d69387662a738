#include "launcher/bench/random.h"

#include <math.h>

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

double random_uniform(uint64_t *state)
{
    return ((double)(random_next(state) >> 11) + 0.5) * 0x1p-53;
}

static double normal(uint64_t *state) /* Box and Muller */
{
    const double radius = sqrt(-2 * log(random_uniform(state)));
    return radius * cos(2 * 3.14159265358979323846 * random_uniform(state));
}

/* Marsaglia and Tsang, 2000; below shape 1 by way of shape + 1. */
double random_gamma(uint64_t *state, double shape)
{
    if (shape < 1)
        return random_gamma(state, shape + 1) * (shape + 1) / shape *
               pow(random_uniform(state), 1 / shape);
    const double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        const double x = normal(state), v = pow(1 + c * x, 3);
        if (v > 0 && log(random_uniform(state)) < x * x / 2 + d - d * v + d * log(v))
            return d * v / shape;
    }
}
