// Lets the addon, built with a newer g++, run with the libstdc++ of GCC 5 (GLIBCXX_3.4.21; RHEL 8 and Debian 10 have 3.4.25): the one
// symbol that containers of g++ >= 11 ask for beyond that, GLIBCXX_3.4.29, is defined here. It is called for a size that no memory
// could hold, where a build without exceptions could only abort too. In the addon alone: a static program has it from libstdc++.a.
#include <cstdlib>

namespace std {

[[noreturn]] __attribute__((visibility("hidden"))) void __throw_bad_array_new_length() { abort(); }

}  // namespace std
