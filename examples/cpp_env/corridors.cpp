// Corridors in C++, stepped by threads as EnvPool's envs are. Each thread has a reader of its own, which takes no lock and makes
// no system call.
#include "traincast.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace py = pybind11;

// What the envs of one thread know about the training.
class Training {
  public:
    explicit Training(const std::string &run) {
        int error = tc_open(&reader_, run.c_str(), 0, sizeof reader_);
        if (error != 0 && error != -ENOENT) throw std::runtime_error(tc_error(&reader_));
        tc_key(&reader_, "reward_shaping.progress", &weight_);
    }
    ~Training() { tc_close(&reader_); }
    Training(const Training &) = delete;
    Training &operator=(const Training &) = delete;

    double newest_weight() {
        tc_poll(&reader_);
        return tc_f64(&reader_, &weight_, 1.0);
    }

  private:
    tc_reader reader_{};
    tc_key weight_{};
};

struct Corridor {
    static constexpr int cells = 100, longest_episode = 400;
    int position = cells / 2, step = 0;
    double weight = 1.0;

    void reset(Training &training) {
        weight = training.newest_weight();
        position = cells / 2;
        step = 0;
    }

    double act(bool right, Training &training) {
        int before = position;
        position = right ? position + 1 : position > 0 ? position - 1 : 0;
        bool won = position == cells;
        double reward = won + weight * (position - before) / cells;
        if (won || ++step == longest_episode) reset(training);
        return reward;
    }
};

class Corridors {
  public:
    Corridors(std::size_t count, std::size_t threads, const std::string &run) : envs_(count) {
        for (std::size_t i = 0; i < threads; i++) training_.push_back(std::make_unique<Training>(run));
    }

    void reset() {
        for (auto &env : envs_) env.reset(*training_.front());
    }

    // One action for each env; returns the sum of each env's rewards over this many steps.
    py::array_t<double> step(const py::array_t<bool, py::array::c_style | py::array::forcecast> &actions, int steps) {
        if (static_cast<std::size_t>(actions.size()) != envs_.size()) throw std::invalid_argument("one action for each env");
        py::array_t<double> rewards(actions.size());
        const bool *right = actions.data();
        double *sums = rewards.mutable_data();
        py::gil_scoped_release released;
        std::vector<std::thread> workers;
        for (std::size_t t = 0; t < training_.size(); t++)
            workers.emplace_back([=] {
                for (std::size_t i = t; i < envs_.size(); i += training_.size()) {
                    sums[i] = 0;
                    for (int s = 0; s < steps; s++) sums[i] += envs_[i].act(right[i], *training_[t]);
                }
            });
        for (auto &worker : workers) worker.join();
        return rewards;
    }

    std::vector<double> weights() const {
        std::vector<double> found;
        for (auto &env : envs_) found.push_back(env.weight);
        return found;
    }

  private:
    std::vector<Corridor> envs_;
    std::vector<std::unique_ptr<Training>> training_; // one per thread
};

PYBIND11_MODULE(corridors, module) {
    py::class_<Corridors>(module, "Corridors")
        .def(py::init<std::size_t, std::size_t, const std::string &>(), py::arg("count"), py::arg("threads"), py::arg("run"))
        .def("reset", &Corridors::reset)
        .def("step", &Corridors::step, py::arg("actions"), py::arg("steps"))
        .def("weights", &Corridors::weights, "Of each env, as it was at its last reset.");
}
