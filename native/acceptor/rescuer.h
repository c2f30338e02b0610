// `rescue`: connections that nobody takes from a worker's queue are accepted here and handed to a worker that can. rescue_rule.h says when, giver.h
// how; this is the loop between them and the kernel. It runs on a thread of its host, which is the addon or any other program, and sleeps
// unless something comes. No N-API.
//
// Whoever hosts it calls run() on that thread, and everything else from any one other: those are commands, carried out in order.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "acceptor/accept.h"
#include "acceptor/backend.h"
#include "acceptor/counts.h"
#include "acceptor/giver.h"
#include "acceptor/rescue_rule.h"
#include "acceptor/watches.h"

namespace covet {

inline constexpr int64_t RESCUE_AFTER_MS_MIN = 2;  // a look each half of it
inline constexpr uint64_t WORKER_MAX = (uint64_t{1} << 53) - 1;
inline constexpr size_t HELD_MAX = 1'024;  // nothing more is taken out of queues, where it waits as well

class Rescuer {
 public:
  Rescuer(ChosenBackend chosen, int64_t rescueAfterMs);
  // run() must have returned, or never have begun.
  ~Rescuer();

  BackendKind kind() const { return kind_; }
  const SysError& refusedUring() const { return refused_; }
  const RescueCounts& counts() const { return counts_; }

  // A listening TCP socket, non-blocking; in the place of the one of this number, if there is one. The key is one by isListenerKey().
  void addQueue(QueueId queue, std::string listener, Fd socket) { post(AddQueue{queue, std::move(listener), std::move(socket)}); }
  void serveQueue(QueueId queue, WorkerId worker) { post(ServeQueue{queue, worker}); }
  void orphanQueue(QueueId queue) { post(OrphanQueue{queue}); }
  // Removed after `forMs`.
  void retireQueue(QueueId queue, int64_t forMs) { post(RetireQueue{queue, forMs}); }
  void removeQueue(QueueId queue) { post(RemoveQueue{queue}); }
  // One end of a SEQPACKET pair. A worker that ends its side is a taker no more.
  void addTaker(WorkerId worker, Fd pair) { post(AddTaker{worker, std::move(pair)}); }
  void removeTaker(WorkerId worker) { post(RemoveTaker{worker}); }

  void stop() { post(Stop{}); }
  // On the thread, with all signals blocked; until stop().
  void run();
  // After that, on any thread: closes what it slept by. Only what is const may be asked any more.
  void shut() { backend_.reset(); }

 private:
  struct AddQueue {
    QueueId queue;
    std::string listener;
    Fd socket;
  };
  struct ServeQueue {
    QueueId queue;
    WorkerId worker;
  };
  struct OrphanQueue {
    QueueId queue;
  };
  struct RetireQueue {
    QueueId queue;
    int64_t forMs;
  };
  struct RemoveQueue {
    QueueId queue;
  };
  struct AddTaker {
    WorkerId worker;
    Fd pair;
  };
  struct RemoveTaker {
    WorkerId worker;
  };
  struct Stop {};
  using Command = std::variant<AddQueue, ServeQueue, OrphanQueue, RetireQueue, RemoveQueue, AddTaker, RemoveTaker, Stop>;

  struct Queue {
    Fd socket;
    ListenerId listener;
    int64_t removeAtMs = NEVER_MS;  // while it is retired
  };

  void post(Command command);
  void takeCommands();
  void carryOut(AddQueue& command);
  void carryOut(ServeQueue& command);
  void carryOut(OrphanQueue& command);
  void carryOut(RetireQueue& command);
  void carryOut(RemoveQueue& command);
  void carryOut(AddTaker& command);
  void carryOut(RemoveTaker& command);
  void carryOut(Stop& command);

  int64_t nextDeadlineMs();
  void onReady(uint64_t token);
  void changeWatches();
  void dropQueue(QueueId queue);
  void passRetirements();
  void look();
  void take(const Take& take);
  std::vector<Connection> accept(Queue& queue, uint32_t max);
  void give(WorkerId worker, ListenerId listener, std::vector<Connection> connections);
  void giveHeld();
  void close();

  // Any thread's.
  std::mutex mutex_;
  std::vector<Command> commands_;  // by mutex_
  RescueCounts counts_;
  const BackendKind kind_;
  const SysError refused_;
  std::unique_ptr<Backend> backend_;

  // The thread's alone.
  Watches watches_;
  RescueRule rule_;
  Giver giver_;
  std::map<QueueId, Queue> queues_;
  std::vector<std::string> listeners_;  // by ListenerId; an address that was ever listened on keeps its number
  AcceptPause pause_;
  int64_t nowMs_ = 0;
  bool isStopping_ = false;
};

}  // namespace covet
