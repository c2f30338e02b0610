// Writes workers' lines to their files while there is no supervisor to do it. A worker that fills its log pipe waits; between the death of
// one supervisor and the hello of the next nobody empties it but this.
//
// Whole lines only, so that those of an app's workers do not run into each other, and none taken out of a pipe before it is in the file: a
// covet-init that is killed meanwhile repeats lines at worst. Where the file cannot be written the lines stay in the pipe and are tried
// again: covet-init drops nothing. No rotation and no timestamps: both are the supervisor's.
#pragma once

#include <sys/epoll.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "init/loop.h"
#include "sys/pipe_peek.h"

namespace covet {

class LogSpill {
 public:
  explicit LogSpill(Loop& loop) : loop_(loop) {}
  ~LogSpill() { end(); }

  void begin();
  // Borrows the pipe's read end until end(); no path, no copy. The pipe is raised so that the worker waits less, within a quarter
  // of what this user's pipes may hold in all.
  void add(int pipe, const std::string& path);
  // What is whole in the pipes is in the files; the rest is the next supervisor's.
  void end();

  bool isOn() const { return isOn_; }
  // The next moment at which expire() has something to do; -1: none.
  int64_t deadlineMs() const { return dueMs_; }
  void expire(int64_t atMs);

 private:
  struct Source : Watcher {
    Source(LogSpill& spill, int pipe, std::string path) : spill(spill), pipe(pipe), path(std::move(path)) {}
    void onEvents(uint32_t events) override { spill.copy(*this, (events & EPOLLHUP) != 0); }

    LogSpill& spill;
    int pipe;
    std::string path;
  };

  void copy(Source& source, bool isHungUp);
  bool copyOnce(Source& source, bool isHungUp);
  void remind(int64_t inMs);
  int fileOf(const std::string& path);
  void raise(int pipe);

  Loop& loop_;
  bool isOn_ = false;
  bool isUnwatched_ = false;  // max_user_watches: a pipe has no events, and all are looked at again and again
  std::unique_ptr<PipePeek> pipes_;
  std::vector<std::unique_ptr<Source>> sources_;
  std::map<std::string, Fd> files_;
  size_t raisedBytes_ = 0;
  int64_t dueMs_ = -1;
};

}  // namespace covet
