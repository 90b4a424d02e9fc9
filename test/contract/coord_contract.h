/*
 * coord_contract.h - the suite that every backend of src/coord/coord.h passes.
 */
#ifndef TEST_CONTRACT_COORD_CONTRACT_H
#define TEST_CONTRACT_COORD_CONTRACT_H

struct coord;

/* open gives another member of the same deployment: of what is in memory, the only one,
 * so two members are asked for only when has_two. Gives the number of failed tests. */
int coord_contract_run(const char *name, struct coord *(*open)(void), int has_two);

#endif
