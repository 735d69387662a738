#include "launcher/bytes_text.h"

#include <stdio.h>

const char *bytes_text(char text[BYTES_TEXT], int64_t n_bytes)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)n_bytes;
    int unit = 0;
    for (; value >= 999.5; unit++)
        value /= 1000;
    const int digits = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    if (n_bytes == 0)
        snprintf(text, BYTES_TEXT, "0");
    else
        snprintf(text, BYTES_TEXT, "%.*f %s", digits, value, units[unit]);
    return text;
}
