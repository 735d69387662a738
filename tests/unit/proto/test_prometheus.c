#include "proto/prometheus.h"
#include "tests/test.h"

TEST(a_family_says_what_it_is_and_then_its_samples)
{
    struct bytes out = {0};
    const struct prometheus_label label[] = {{"model_name", "demo"}, {"engine", "0"}};
    const struct prometheus_labels all = {label, 2}, none = {label, 0};
    prometheus_family(&out, "tokens_total", PROMETHEUS_COUNTER, "How many.");
    prometheus_sample(&out, "tokens_total", &all, NULL, 12345678901.0);
    prometheus_sample(&out, "tokens_total", &none, NULL, 0.1);
    prometheus_sample(&out, "tokens_total", &none, &(struct prometheus_label){"rank", "1"}, 1e-9);
    CHECK_STR(out.data, "# HELP tokens_total How many.\n"
                        "# TYPE tokens_total counter\n"
                        "tokens_total{model_name=\"demo\",engine=\"0\"} 12345678901\n"
                        "tokens_total 0.1\n"
                        "tokens_total{rank=\"1\"} 1e-09\n");
    bytes_release(&out);
}

TEST(values_of_labels_and_help_texts_cannot_end_early)
{
    struct bytes out = {0};
    const struct prometheus_label label[] = {{"model_name", "a\"b\\c\nd"}};
    const struct prometheus_labels labels = {label, 1};
    prometheus_family(&out, "x", PROMETHEUS_GAUGE, "a\nb\\c \"d\"");
    prometheus_sample(&out, "x", &labels, NULL, 1);
    CHECK_STR(out.data, "# HELP x a\\nb\\\\c \"d\"\n"
                        "# TYPE x gauge\n"
                        "x{model_name=\"a\\\"b\\\\c\\nd\"} 1\n");
    bytes_release(&out);
}

TEST(a_histogram_counts_what_is_below_each_bound)
{
    struct bytes out = {0};
    const struct prometheus_labels none = {0};
    const double bound[] = {0.001, 2.5};
    const uint64_t count[] = {1, 0, 3};
    prometheus_family(&out, "t", PROMETHEUS_HISTOGRAM, "T.");
    prometheus_histogram(&out, "t", &none, bound, 2, count, 30.25);
    CHECK_STR(out.data, "# HELP t T.\n"
                        "# TYPE t histogram\n"
                        "t_bucket{le=\"0.001\"} 1\n"
                        "t_bucket{le=\"2.5\"} 1\n"
                        "t_bucket{le=\"+Inf\"} 4\n"
                        "t_sum 30.25\n"
                        "t_count 4\n");
    bytes_release(&out);
}
