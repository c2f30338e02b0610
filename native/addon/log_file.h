// A log file that lines of several writers are appended to: whole lines together, a new file at `maxBytes`, times before the lines where
// asked. An append is in the file whole or, but for a pipe or terminal, not at all: what a full disk took of it is cut off again, so
// that the caller may try the same bytes later. A file that somebody deleted begins anew, with nothing lost.
//
// Rotation is never inside a line, but for one longer than LINE_BYTES_MAX. If a writer left a line open and another one writes, a
// newline comes between: only the open line is cut, never the other's. open(2), rename(2); logrotate's names, path.1 the newest.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sys/fd.h"

namespace covet {

inline constexpr size_t LINE_BYTES_MAX = 1'048'576;  // an open line longer than this keeps neither other writers nor rotation waiting

struct LogFileOptions {
  int64_t maxBytes;  // 0: never rotates
  int files;         // path.1 … path.files are kept
  bool timestamps;
};

class LogFile {
 public:
  // Fails as open(2): EACCES, ENOENT, EISDIR, ENOSPC, ENXIO (a FIFO that nobody reads).
  static Result<LogFile> open(std::string path, LogFileOptions options);

  // A pipe or terminal may take a part of an append and keep the rest waiting here: this writes it, before the next append. Fails with
  // EAGAIN while there is still no room.
  Status writeRest();
  // Gives the rest up; returns how many bytes that were.
  size_t dropRest();

  // Appends the whole lines of `text`, or all of it when it has none and `isForced`, as far as they fit into one file. Returns how many
  // bytes of `text` are in the file now; 0 is "no whole line". `label` comes before each line, behind its time. Fails with ENOSPC,
  // EDQUOT, EIO, EFBIG, EAGAIN (a full pipe).
  Result<size_t> append(std::string_view text, bool isForced, uint64_t writer, std::string_view label);

  // Opens the path again, which somebody may have renamed. After a failure the old file is kept, and look() tries again.
  void reopen();
  // At most once a second: the same by itself where the file was moved and nothing has its name, and a rotation that failed is due again.
  // A file that another has the name of is left to reopen(): whoever moved it may still copy it.
  void look(int64_t nowMs);

  int64_t size() const { return size_; }
  bool isInsideLine() const { return openLineBytes_ > 0 && openLineBytes_ < LINE_BYTES_MAX; }
  // Whether the file began anew since the last question.
  bool takeRotated();
  // errno of the last rotation, and of the last time it was opened by its name; 0: well. The old file goes on.
  int rotateError() const { return rotateError_; }
  int openError() const { return openError_; }

 private:
  LogFile(std::string path, LogFileOptions options) : path_(std::move(path)), options_(options) {}

  Status openByName();
  void take(Fd fd);
  size_t portion(std::string_view text, bool isForced, size_t extra);
  Status rotate();
  Status shift();
  Status writeWhereFound(std::string_view lead, std::string_view body);
  Status write(std::string_view lead, std::string_view body);
  void measure();

  std::string path_;
  LogFileOptions options_;
  Fd fd_;
  int64_t size_ = 0;
  bool isSeekable_ = false;    // not a pipe or a terminal
  bool isDeletable_ = false;   // had a name when it was opened; /proc/self/fd/1 may have none
  bool isDeleted_ = false;     // and has none any more
  int64_t lookedAtMs_ = 0;     // at the name
  size_t openLineBytes_ = 0;   // since the last newline
  uint64_t lastWriter_ = 0;
  std::string stamped_;  // kept for its memory
  std::string rest_;     // what a full pipe or terminal did not take yet
  bool isRotated_ = false;
  bool isRotationDue_ = true;  // not again at once after one that failed
  int rotateError_ = 0;
  int openError_ = 0;
};

}  // namespace covet
