# make run and make test are all that a newcomer needs; scripts/ holds what they do.
.PHONY: build run test bench soak format lint clean setup

build: setup
	@[ -f build/build.ninja ] || meson setup build
	@ninja -C build

setup:
	@scripts/setup

# Every service on embedded stores below ./data; ARGS="--port 8080" and so on.
run: build
	@exec build/membrane up $(ARGS)

test: setup
	@scripts/test

bench: build
	@scripts/bench

# Hours of load against one server, watching memory, descriptors and errors. MINUTES=5
soak: build
	@scripts/soak

format:
	@git ls-files '*.c' '*.h' '*.cc' | xargs clang-format -i

lint:
	@scripts/lint

clean:
	@rm -rf build build-asan build-tsan build-fuzz
