/* Filters of numbers. Every want is what jinja2 3.1.2 gives. */
#include "tests/test.h"
#include "tests/unit/runtime_jinja/rendering.h"

TEST(texts_become_whole_numbers_as_with_int)
{
    check_text("{{ ' 42 '|int }},{{ '-1_000'|int }},{{ '٣٤'|int }},{{ '3.9'|int }},{{ '1e3'|int "
               "}},{{ 'x'|int }},{{ 'x'|int(7) }},{{ ''|int }}",
               NULL, "42,-1000,34,3,1000,0,7,0");
    check_text("{{ '0x1f'|int(base=16) }},{{ '1f'|int(base=16) }},{{ '0b11'|int(base=0) }},{{ "
               "'010'|int(base=0) }},{{ '0o17'|int(0, 8) }},{{ '12'|int(base=99) }},{{ "
               "'12'|int(base='x') }}",
               NULL, "31,31,3,10,15,12,12");
    check_text("{{ 3.99|int }},{{ -3.99|int }},{{ true|int }},{{ none|int }},{{ []|int }},{{ "
               "'nan'|int(-1) }}",
               NULL, "3,-3,1,0,0,-1");
    check_fails("{{ 'inf'|int }}", NULL, "OverflowError: cannot convert float infinity to integer");
    check_fails("{{ missing|int }}", NULL, "UndefinedError: 'missing' is undefined");
}

TEST(texts_become_floats_as_with_float)
{
    check_text("{{ '1.5'|float }},{{ '1_0.5e-1'|float }},{{ ' .5 '|float }},{{ '5.'|float }},{{ "
               "'x'|float }},{{ 'x'|float(2) }},{{ '1__0'|float }},{{ 'Infinity'|float }},{{ "
               "true|float }},{{ none|float }}",
               NULL, "1.5,1.05,0.5,5.0,0.0,2,0.0,inf,1.0,0.0");
    check_fails("{{ missing|float }}", NULL, "UndefinedError: 'missing' is undefined");
}

TEST(numbers_are_rounded_to_even_where_they_are_in_the_middle)
{
    check_text("{{ 2.5|round }},{{ 3.5|round }},{{ -2.5|round }},{{ 2.675|round(2) }},{{ "
               "1234.5678|round(-2) }},{{ 150.0|round(-2) }},{{ 250.0|round(-2) }},{{ 15|round(-1) "
               "}},{{ 25|round(-1) }},{{ -15|round(-1) }},{{ 7|round }},{{ true|round }},{{ "
               "1e300|round(2) }},{{ 5e-324|round(400) }},{{ 2.5|round(none) }}",
               NULL, "2.0,4.0,-2.0,2.67,1200.0,200.0,200.0,20,20,-20,7,1,1e+300,5e-324,2");
    check_text(
        "{{ 1.21|round(1, 'ceil') }},{{ 1.29|round(1, 'floor') }},{{ 5|round(0, 'ceil') }},{{ "
        "-1.21|round(1, 'floor') }},{{ 1234|round(-2, 'ceil') }},{{ 1e30|round(0, 'ceil') }}",
        NULL, "1.3,1.2,5.0,-1.3,1300.0,1e+30");
    check_fails("{{ 1|round(0, 'x') }}", NULL,
                "FilterArgumentError: method must be common, ceil or floor");
    check_fails("{{ 'a'|round }}", NULL, "TypeError: type str doesn't define __round__ method");
    check_fails("{{ missing|round }}", NULL,
                "TypeError: type Undefined doesn't define __round__ method");
    check_fails("{{ 1.5|round('a') }}", NULL,
                "TypeError: 'str' object cannot be interpreted as an integer");
    check_fails("{{ 'nan'|float|round(0, 'ceil') }}", NULL,
                "ValueError: cannot convert float NaN to integer");
    check_fails("{{ 1.7e308|round(-308) }}", NULL,
                "OverflowError: rounded value too large to represent");
}

TEST(amounts_of_bytes_are_shown_in_units)
{
    check_text("{{ 0|filesizeformat }},{{ 1|filesizeformat }},{{ 999|filesizeformat }},{{ "
               "1000|filesizeformat }},{{ 1e6|filesizeformat }},{{ '1e24'|filesizeformat }},{{ "
               "1e30|filesizeformat }},{{ -5|filesizeformat }},{{ 1024|filesizeformat(true) }},{{ "
               "1536|filesizeformat(binary=true) }},{{ 999.9|filesizeformat }}",
               NULL,
               "0 Bytes,1 Byte,999 Bytes,1.0 kB,1.0 MB,1000.0 ZB,1000000.0 YB,-5 Bytes,1.0 KiB,1.5 "
               "KiB,999 Bytes");
    check_fails("{{ 'x'|filesizeformat }}", NULL,
                "ValueError: could not convert string to float: 'x'");
    check_fails("{{ []|filesizeformat }}", NULL,
                "TypeError: float() argument must be a string or a real number, not 'list'");
}

TEST(absolute_values_are_of_numbers)
{
    check_text("{{ -3|abs }},{{ -2.5|abs }},{{ true|abs }}", NULL, "3,2.5,1");
    check_fails("{{ 'a'|abs }}", NULL, "TypeError: bad operand type for abs(): 'str'");
    check_fails("{{ missing|abs }}", NULL, "TypeError: bad operand type for abs(): 'Undefined'");
    check_fails("{{ 1|abs(2) }}", NULL, "TypeError: abs() takes exactly one argument (2 given)");
}
