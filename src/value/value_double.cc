#include "value_double.h"

#include <double-conversion/double-conversion.h>

using double_conversion::DoubleToStringConverter;
using double_conversion::StringBuilder;
using double_conversion::StringToDoubleConverter;

extern "C" size_t value_double_shortest(double n, char *out) {
    char text[32];
    StringBuilder builder(text, sizeof(text));
    size_t len;

    DoubleToStringConverter::EcmaScriptConverter().ToShortest(n, &builder);
    len = static_cast<size_t>(builder.position());
    for (size_t i = 0; i < len; i++)
        out[i] = text[i];
    return len;
}

extern "C" size_t value_double_fixed(double n, int digits, char *out) {
    StringBuilder builder(out, 128);

    if (!DoubleToStringConverter::EcmaScriptConverter().ToFixed(n, digits, &builder))
        return 0;
    return static_cast<size_t>(builder.position());
}

extern "C" size_t value_double_digits(double n, int precision, char *out,
                                      int *ret_point) {
    bool sign;
    int length;

    DoubleToStringConverter::DoubleToAscii(n, DoubleToStringConverter::PRECISION,
                                           precision, out, 128, &sign, &length,
                                           ret_point);
    return static_cast<size_t>(length);
}

extern "C" double value_double_parse(const char *s, size_t len) {
    static const StringToDoubleConverter converter(StringToDoubleConverter::NO_FLAGS, 0.0,
                                                   0.0, nullptr, nullptr);
    int used;

    return converter.StringToDouble(s, static_cast<int>(len), &used);
}
