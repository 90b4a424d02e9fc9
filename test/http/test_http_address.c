#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "../cmocka_all.h"
#include "base/arena.h"
#include "base/status.h"
#include "http/http_address.h"

static void only_addresses_that_are_handed_out_are_public(void **state) {
    static const char *const public[] = {
        "1.1.1.1",          "8.8.8.8",        "172.15.0.1",      "172.32.0.1",
        "100.128.0.1",      "223.255.255.1",  "2606:4700::1111", "::ffff:8.8.8.8",
        "64:ff9b::808:808", "2002:808:808::1"};
    static const char *const blocked[] = {"0.0.0.0",
                                          "0.1.2.3",
                                          "10.0.0.1",
                                          "100.64.0.1",
                                          "100.100.100.200",
                                          "127.0.0.1",
                                          "127.255.255.254",
                                          "169.254.169.254",
                                          "172.16.0.1",
                                          "172.31.255.255",
                                          "192.168.1.1",
                                          "192.0.0.1",
                                          "192.0.2.1",
                                          "198.18.0.1",
                                          "198.19.255.255",
                                          "198.51.100.7",
                                          "203.0.113.7",
                                          "224.0.0.1",
                                          "240.0.0.1",
                                          "255.255.255.255",
                                          "168.63.129.16",
                                          "::",
                                          "::1",
                                          "::2",
                                          "::127.0.0.1",
                                          "::ffff:127.0.0.1",
                                          "::ffff:10.0.0.1",
                                          "::ffff:0:10.0.0.1",
                                          "64:ff9b::7f00:1",
                                          "64:ff9b:1::1",
                                          "2002:7f00:1::1",
                                          "2002:a00:1::",
                                          "2001::1",
                                          "2001:db8::1",
                                          "3fff::1",
                                          "fc00::1",
                                          "fd00:ec2::254",
                                          "fe80::1",
                                          "fec0::1",
                                          "ff02::1",
                                          "100::1",
                                          "5f00::1"};

    (void)state;
    for (size_t i = 0; i < sizeof(public) / sizeof(*public); i++)
        assert_int_equal(http_address_class_text(public[i]), ADDRESS_PUBLIC);
    for (size_t i = 0; i < sizeof(blocked) / sizeof(*blocked); i++) {
        if (http_address_class_text(blocked[i]) == ADDRESS_PUBLIC)
            print_error("%s is public\n", blocked[i]);
        assert_int_not_equal(http_address_class_text(blocked[i]), ADDRESS_PUBLIC);
    }
    assert_int_equal(http_address_class_text("localhost"), ADDRESS_SPECIAL);
    assert_int_equal(http_address_class_text("127.1"), ADDRESS_SPECIAL);
}

static void a_list_holds_ranges_and_names(void **state) {
    struct arena *a = arena_new(0);
    const struct address_list *l;
    struct status st;

    (void)state;
    st_init(&st, a);
    assert_int_equal(http_address_list_parse(a,
                                             "10.1.0.0/16, fd00::/8 ,192.168.7.7,"
                                             "db.internal,*.svc.local,10.9.9.9/31",
                                             &l, &st),
                     0);
    assert_true(http_address_list_has_text(l, "10.1.255.1"));
    assert_true(http_address_list_has_text(l, "::ffff:10.1.255.1"));
    assert_true(http_address_list_has_text(l, "10.9.9.8"));
    assert_false(http_address_list_has_text(l, "10.9.9.10"));
    assert_false(http_address_list_has_text(l, "10.2.0.1"));
    assert_true(http_address_list_has_text(l, "fd12::1"));
    assert_false(http_address_list_has_text(l, "fe80::1"));
    assert_true(http_address_list_has_text(l, "192.168.7.7"));
    assert_false(http_address_list_has_text(l, "db.internal"));
    assert_true(http_address_list_has_name(l, "DB.internal."));
    assert_true(http_address_list_has_name(l, "a.b.svc.local"));
    assert_false(http_address_list_has_name(l, "svc.local"));
    assert_false(http_address_list_has_name(l, "xdb.internal"));
    assert_int_equal(http_address_list_parse(a, "*", &l, &st), 0);
    assert_true(http_address_list_has_text(l, "127.0.0.1"));
    assert_true(http_address_list_has_name(l, "x"));
    assert_int_equal(http_address_list_parse(a, NULL, &l, &st), 0);
    assert_false(http_address_list_has_text(l, "127.0.0.1"));
    assert_int_equal(http_address_list_parse(a, "10.0.0.0/33", &l, &st), -1);
    assert_int_equal(http_address_list_parse(a, "x/8", &l, &st), -1);
    assert_int_equal(http_address_list_parse(a, "a b!", &l, &st), -1);
    arena_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_addresses_that_are_handed_out_are_public),
        cmocka_unit_test(a_list_holds_ranges_and_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
