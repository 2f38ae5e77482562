// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/range.h"
#include "base/text.h"

namespace fs = std::filesystem;
using namespace snapcore;

namespace {

class Folder {
public:
    Folder() {
        std::string name = (fs::temp_directory_path() / "snapcore-test-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~Folder() { fs::remove_all(path_); }
    std::string operator/(const char* name) const { return (path_ / name).string(); }
    bool empty() const { return fs::is_empty(path_); }

private:
    fs::path path_;
};

std::span<const std::byte> bytes(std::string_view text) {
    return std::as_bytes(std::span(text));
}

int file_error(const std::string& path, bool overwrite) {
    try {
        create_output_file(path, overwrite);
    } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::kFile);
        return static_cast<int>(error.code());
    }
    return 0;
}

}  // namespace

TEST_CASE("text: UTF-8 to UTF-16 and back") {
    CHECK(utf8_to_utf16("a\xc3\xa9\xe2\x82\xac") == u"a\u00e9\u20ac");
    CHECK(utf8_to_utf16("\xf0\x9f\x98\x80") == u"\U0001f600");
    CHECK(utf16_to_utf8(u"\U0001f600") == "\xf0\x9f\x98\x80");
    CHECK(utf8_to_utf16("") == u"");
}

TEST_CASE("text: bytes that are not UTF-8 become U+FFFD, one each") {
    CHECK(utf8_to_utf16("\xff"
                        "a") ==
          u"\ufffd"
          u"a");
    CHECK(utf8_to_utf16("\xc3") == u"\ufffd");
    CHECK(utf8_to_utf16("\xc0\x80") == u"\ufffd\ufffd");            // overlong
    CHECK(utf8_to_utf16("\xed\xa0\x80") == u"\ufffd\ufffd\ufffd");  // surrogate
    const char16_t lone[] = {0xd800, u'x', 0};
    CHECK(utf16_to_utf8(lone) == "\xef\xbf\xbdx");
}

TEST_CASE("text: JSON literals") {
    CHECK(json_quote("a\"b\\c\n") == "\"a\\\"b\\\\c\\u000a\"");
    CHECK(json_quote("\xff") == "\"\\\\xff\"");
    CHECK(json_quote("\xc3\xa9") == "\"\xc3\xa9\"");
    CHECK(is_utf8("a\xc3\xa9"));
    CHECK_FALSE(is_utf8("a\xc3"));
    CHECK(escaped_utf8("a\xc3\xa9\xff\\\xed\xa0\x80") == "a\xc3\xa9\\xff\\\\xed\\xa0\\x80");
}

TEST_CASE("range: ends saturate and do not wrap") {
    constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
    CHECK(Range{kMost - 1, 10}.end() == kMost);
    CHECK(Range{16, 16}.contains(31));
    CHECK_FALSE(Range{16, 16}.contains(32));
    CHECK_FALSE(checked_add(kMost, 1).has_value());
    CHECK(align_up(4097, 4096) == 8192);
    CHECK(align_down(4097, 4096) == 4096);
}

TEST_CASE("error: the kind follows the number") {
    CHECK(Error::from_errno(EPERM, "f").kind() == ErrorKind::kAccessDenied);
    CHECK(Error::from_errno(ESRCH, "f").kind() == ErrorKind::kProcessGone);
    CHECK(Error::from_errno(ENOMEM, "f").kind() == ErrorKind::kOther);
    const Error error = Error::from_errno(EPERM, "ptrace", "do this", 7);
    CHECK(std::string(error.what()) == "ptrace: Operation not permitted (pid 7): do this");
    CHECK(std::string(Error::unsupported("", "do that", 7).what()) == "(pid 7): do that");
}

TEST_CASE("file: appears whole, owner-only whatever the umask, or not at all") {
    const Folder folder;
    const std::string path = folder / "a.dmp";
    for (const mode_t mask : {0u, 0777u}) {
        const mode_t before = ::umask(mask);
        {
            const auto file = create_output_file(path, false);
            file->set_size(10);
            file->write(3, bytes("xyz"));
            CHECK(folder.empty());
            file->commit(false);
        }
        ::umask(before);
        struct stat status{};
        REQUIRE(::stat(path.c_str(), &status) == 0);
        CHECK((status.st_mode & 07777) == 0600);
        CHECK(status.st_size == 10);
        fs::remove(path);
    }
    {
        const auto dropped = create_output_file(path, false);
    }
    CHECK(folder.empty());
}

TEST_CASE("file: an existing one is refused at once, and again at the end") {
    const Folder folder;
    const std::string path = folder / "a.dmp";
    const auto file = create_output_file(path, false);
    std::ofstream(path) << "old";
    CHECK(file_error(path, false) == EEXIST);
    CHECK_THROWS_AS(file->commit(false), const Error&);
    CHECK(fs::file_size(path) == 3);
    file->set_size(5);
    file->commit(true);
    CHECK(fs::file_size(path) == 5);
}

TEST_CASE("file: what is never written takes no space") {
    const Folder folder;
    const auto file = create_output_file(folder / "a.dmp", false);
    file->set_size(64u << 20);
    file->write(32u << 20, bytes("x"));
    CHECK(file->size() == 64u << 20);
    CHECK(file->allocated_size() < 1u << 20);
}

TEST_CASE("file: places that cannot hold one") {
    const Folder folder;
    CHECK(file_error(folder / "", true) == EISDIR);
    CHECK(file_error(folder / "missing/a.dmp", false) == ENOENT);
    CHECK(file_error("", false) == EISDIR);
    ::mkdir((folder / "d").c_str(), 0700);
    CHECK(file_error(folder / "d", true) == EISDIR);
}
