// The thread that copies workers' pipes to log files. No N-API here: it is told what to do by commands and says what happened through
// LogNews and one callback, called on this thread.
//
//   source ──tee──▶ scratch ──read──▶ buffer ──write──▶ file, and only then ──splice──▶ /dev/null
//
// What is not in its file is still in its pipe, so this process may be killed at any instant: at worst one chunk is repeated. A line
// without its newline stays in the pipe until that comes, or PARTIAL_MS pass, or the pipe may be full or is at its end: so lines of
// several sources are not torn. A line that fills a pipe has its stream to itself until its end, or until PARTIAL_MS bring no more of it.
// Sources take turns.
// tee(2), splice(2), pipe(7), epoll(7) (edge-triggered: a source is read until it has nothing, or waits with a deadline).
#pragma once

#include <uv.h>

#include <array>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "addon/log_file.h"
#include "addon/log_news.h"
#include "sys/pipe_peek.h"

namespace covet {

class LogCopyThread {
 public:
  using Notify = void (*)(void* context);

  LogCopyThread() = default;
  LogCopyThread(const LogCopyThread&) = delete;
  LogCopyThread& operator=(const LogCopyThread&) = delete;
  // The thread must have been joined.
  ~LogCopyThread() = default;

  // `notify` is called on the copying thread when there is news, at most every NEWS_MS unless it is urgent, and once more at its end.
  // Fails with EMFILE, ENOENT (no /dev/null), EAGAIN (no thread).
  Status start(Notify notify, void* context);
  void stop();
  bool hasStopped() const { return hasStopped_; }
  void join();

  void openStream(int id, LogFile file, int64_t stallMs) { post(OpenStream{id, std::move(file), stallMs}); }
  void closeStream(int id) { post(CloseStream{id}); }
  void addSource(int stream, int id, Fd pipe, std::string label) { post(AddSource{stream, id, std::move(pipe), std::move(label)}); }
  // The ticket comes back in LogNews::flushed.
  void flush(int stream, uint64_t ticket) { post(Flush{stream, ticket}); }
  void reopen() { post(Reopen{}); }

  LogNews takeNews();
  const LogCounts& counts() const { return counts_; }

 private:
  // From the JS thread, in order.
  struct OpenStream {
    int id;
    LogFile file;
    int64_t stallMs;
  };
  struct CloseStream {
    int id;
  };
  struct AddSource {
    int stream;
    int id;
    Fd pipe;
    std::string label;
  };
  struct Flush {
    int stream;
    uint64_t ticket;
  };
  struct Reopen {};
  struct Stop {};
  using Command = std::variant<OpenStream, CloseStream, AddSource, Flush, Reopen, Stop>;

  struct Stream;
  struct Source {
    uint64_t key;
    int id;
    Stream* stream;
    Fd pipe;
    std::string label;            // before each of its lines
    bool isQueued = false;        // in ready_
    bool isHungUp = false;        // its writers are gone
    bool isWatched = false;       // by epoll; else looked at, and that tried again, every RETRY_MS
    int64_t partialSinceMs = 0;   // when the open line at its end was first seen; 0: none
    int64_t deadlineMs = 0;       // its entry in deadlines_; 0: none
    uint64_t consumedBytes = 0;
    uint64_t flushUpToBytes = 0;  // a flush wants everything up to here, open lines too
  };
  struct PendingFlush {
    uint64_t ticket;
    std::map<uint64_t, uint64_t> upToBytes;  // by source
  };
  struct Stream {
    int id;
    LogFile file;
    int64_t stallMs;
    int64_t stalledSinceMs = 0;  // the first of the writes that failed since the last that did not
    int64_t retryAtMs = 0;       // while it is not 0 the stream waits
    uint64_t lineHolder = 0;     // the source whose long line is being written
    std::set<uint64_t> sources;
    std::vector<PendingFlush> flushes;
    std::array<int, LOG_ACTIONS> troubles{};  // errno by LogAction, as told; 0: well
  };
  enum class Copied { Some, Nothing, Held, Stalled, End };

  void post(Command command);
  void run();
  int64_t nextDeadlineMs() const;
  int64_t readClock();  // into nowMs_
  void wait();
  void takeCommands();
  void passDeadlines();

  void carryOut(OpenStream& command);
  void carryOut(CloseStream& command);
  void carryOut(AddSource& command);
  void carryOut(Flush& command);
  void carryOut(Reopen& command);
  void carryOut(Stop& command);

  void takeTurn(Source& source);
  Copied copyChunk(Source& source);
  Copied onWriteFailed(Source& source, std::string_view text, const SysError& error);
  void consume(Source& source, std::string_view text);
  // Whether an open line is to be written too.
  bool isForced(const Source& source) const;
  // Gives the stream to a source inside a long line, or back to all.
  void settleLine(Source& source, bool isLong);
  void releaseLine(Stream& stream);

  void enqueue(Source& source);
  void enqueueAll(Stream& stream);
  void remindAt(Source& source, int64_t atMs);
  void removeSource(Source& source);
  void watch(Source& source);
  void wantAll(Source& source);
  void settleFlushes(Stream& stream);

  void sayGrown(Stream& stream);
  // Told when it changes; 0: well again.
  void setTrouble(Stream& stream, LogAction action, int code);
  void sayDropped(Stream& stream, int code, int64_t bytes);
  void publish();

  // The JS thread's too.
  std::mutex mutex_;
  std::vector<Command> commands_;  // by mutex_
  LogNews news_;                   // by mutex_
  LogCounts counts_;
  std::atomic<bool> hasStopped_ = false;
  Fd wake_;  // eventfd

  // Set before the thread begins.
  uv_thread_t thread_{};
  bool isJoinable_ = false;
  Notify notify_ = nullptr;
  void* context_ = nullptr;
  Fd epoll_;
  PipePeek pipes_;

  // The copying thread's alone.
  std::map<int, Stream> streams_;
  std::map<uint64_t, Source> sources_;
  uint64_t lastKey_ = 0;  // 0 is the eventfd
  std::deque<uint64_t> ready_;
  std::set<std::pair<int64_t, uint64_t>> deadlines_;  // ms, source
  std::set<int> stalled_;                             // streams that wait to try again
  int64_t nowMs_ = 0;
  bool hasNews_ = false;
  bool isUrgent_ = false;
  int64_t toldAtMs_ = 0;
  bool isStopping_ = false;
};

}  // namespace covet
